"""Pins versioned sources: a moving address becomes a commit to read at, and a digest of exactly the files read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mldlc.plan.codec import canonical
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, fail
from mldlc.plan.versions import Entry, Versions, VersionsError
from mldlc.store.hashing import hash_bytes
from mldlc.store.repository import Address, open_repository, parse_address
from mldlc.store.versions.globs import compile_glob, literal_prefix

TIMEOUT = 300.0  # seconds that a server may take for all pins of a plan


@dataclass(frozen=True)
class Pin:
    """What an address stands for now. token: digest over (path, content digest, size) of the files, in order.

    digests: of each file, where the store is here.
    """

    commit: str
    token: str
    files: int
    bytes: int
    digests: tuple[str, ...] = ()


def pin_all(
    uris: Iterable[str],
    outputs: Path,
    config: Mapping[str, str] | None = None,
    held: Mapping[str, str] | None = None,
) -> dict[str, Pin]:
    """Pin each address; DiagnosticError with all that cannot be: no such ref, no file that matches, no server.

    held: ref as `Address.pinned_as` -> the commit that it stands for whatever it is now.
    """
    embedded = [uri for uri in uris if uri.startswith("store://")]
    pins, wrong = _pin_here(embedded, outputs, config or {}, held or {})
    remote = [uri for uri in uris if not uri.startswith("store://")]
    if remote:  # in a process of its own: planning never imports a client
        told = _ask({"uris": remote, "outputs": str(outputs), "config": dict(config or {}), "held": dict(held or {})})
        pins |= {uri: Pin(*pin) for uri, pin in told["pins"].items()}
        wrong.update(told["wrong"])
    if wrong:
        raise DiagnosticError(
            [
                Diagnostic("missing_data", f"source {uri}: {text}", key="source.path", found=uri)
                for uri, text in wrong.items()
            ]
        )
    return pins


def matching(versions: Versions, ref: str, glob: str) -> list[Entry]:
    """The entries that a path, a prefix with "/" or a glob names, by path."""
    wanted = compile_glob(glob)
    return [entry for entry in versions.entries(ref, literal_prefix(glob)) if wanted(entry.path)]


def _pin_here(
    uris: Iterable[str], outputs: Path, config: Mapping[str, str], held: Mapping[str, str]
) -> tuple[dict[str, Pin], dict[str, str]]:
    pins: dict[str, Pin] = {}
    wrong: dict[str, str] = {}
    opened: dict[str, Versions] = {}
    for uri in uris:
        try:
            place = parse_address(uri)
            if place.repository not in opened:
                opened[place.repository] = open_repository(place.repository, outputs, config=config)
            pins[uri] = _pin(opened[place.repository], place, held.get(place.pinned_as, ""))
        except VersionsError as error:
            known = held.get(place.pinned_as)
            hint = (
                f" (mldlc.lock pins it to {known[:12]}; anew: mldlc lock --update {place.pinned_as})" if known else ""
            )
            wrong[uri] = f"{error}{hint}"
        except DiagnosticError as error:
            wrong[uri] = "; ".join(f"{d.message}{f' ({d.hint})' if d.hint else ''}" for d in error.diagnostics)
    return pins, wrong


def _pin(versions: Versions, place: Address, commit: str) -> Pin:
    commit = versions.resolve(commit or place.ref)
    entries = matching(versions, commit, place.path)
    if not entries:
        versions.source(commit, place.path)  # says what is near
    token = hash_bytes(canonical(["versioned", [[entry.path, entry.digest, entry.size] for entry in entries]]))
    digests = tuple(entry.digest for entry in entries)
    return Pin(commit, token, len(entries), sum(entry.size for entry in entries), digests)


def _ask(question: dict[str, Any]) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "mldlc.store.pinning"]
    try:
        done = subprocess.run(
            command, input=json.dumps(question), capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        raise fail("unavailable", f"the server gave no answer within {TIMEOUT:.0f} s") from None
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise fail("unavailable", f"asking the server failed: {last}") from None


def main() -> None:
    """Answer a question of `pin_all` on stdin: {uris, outputs, config, held} -> {pins, wrong}."""
    asked = json.load(sys.stdin)
    pins, wrong = _pin_here(asked["uris"], Path(asked["outputs"]), asked["config"], asked["held"])
    print(json.dumps({"pins": {uri: [p.commit, p.token, p.files, p.bytes] for uri, p in pins.items()}, "wrong": wrong}))


if __name__ == "__main__":
    main()
