"""A running step's side of versioned data: files at a pinned commit, and the repository that an effect publishes to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mldlc.plan.context import StepError, TransientError
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.versions import Source, StaleRead, Unavailable, Versions, VersionsError
from mldlc.store.named import is_named, open_named
from mldlc.store.repository import is_versioned, open_repository, parse_address

CHUNK = 1 << 20


def repository(
    address: str, outputs: Path, config: Mapping[str, str], progress: Callable[[float, float], None]
) -> Versions:
    """The repository at an address; the embedded one is made if there is none. StepError, TransientError."""
    with as_step_errors():
        return open_repository(address, outputs, config=config, create=True, progress=progress)


def read_source(
    uri: str, commit: str, outputs: Path, folder: Path | None, config: Mapping[str, str], progress: Callable[..., None]
) -> Source:
    """The files of a versioned URI at a commit. folder: where they get their names back (link or download)."""
    if is_named(uri):
        try:
            return open_named(uri, commit, outputs)
        except (FileNotFoundError, ValueError) as error:
            raise StepError(f"what {uri} stood for is gone from the store: {error}") from None
    if not is_versioned(uri):
        raise StepError(
            f"{uri} is no versioned source", hint="store://<ref>/<path> or lakefs://<repository>@<ref>/<path>"
        )
    with as_step_errors():
        place = parse_address(uri)
        versions = open_repository(place.repository, outputs, config=config)
        found = versions.source(commit or place.ref, place.path)
        if folder is None:
            return found
        paths = []
        for number, (name, path) in enumerate(zip(found.logical, found.paths, strict=True)):
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if "local-paths" in versions.caps:
                os.link(path, target)
            else:
                with versions.open(commit or place.ref, name) as stream, target.open("wb") as out:
                    shutil.copyfileobj(stream, out, CHUNK)
            paths.append(str(target))
            progress(number + 1, len(found.logical), name)
        return Source(tuple(paths), found.logical, digests=found.digests)


@contextmanager
def as_step_errors() -> Iterator[None]:
    """What a version store refuses, as the failures that a step may have. StaleRead stays: the loop plans again."""
    try:
        yield
    except StaleRead:
        raise
    except Unavailable as error:
        raise TransientError(str(error)) from error
    except VersionsError as error:
        raise StepError(str(error)) from error
    except DiagnosticError as error:
        raise StepError(error.diagnostics[0].message, hint=error.diagnostics[0].hint) from error
