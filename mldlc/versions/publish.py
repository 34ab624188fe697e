"""publish: a run's artifacts become one commit on a draft branch, merged where what was read still stands."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mldlc.artifacts.handle import path_digest, plain
from mldlc.plan.context import Context, StepError, TransientError
from mldlc.plan.versions import NothingToCommit, PathNotFound, StaleRead, Unavailable, Versions, VersionsError

MANIFEST = "manifest.json"
FORMAT = "mldlc.published/1"


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Publish; summary `published`: the address at the commit. StaleRead goes to the loop, which plans again."""
    chosen = cfg.versions
    repository = f"lakefs://{chosen.repository}" if chosen.kind == "lakefs" else "store://"
    versions = ctx.versions(repository)
    try:
        commit = _publish(ctx, chosen, versions, inputs, repository)
    except StaleRead:
        raise
    except Unavailable as error:
        raise TransientError(str(error)) from error
    except VersionsError as error:
        raise StepError(f"publishing to {repository} branch {chosen.branch}: {error}") from error
    at = f"{repository}@{commit}" if chosen.kind == "lakefs" else f"{repository}{commit}"
    ctx.summary({"published": f"{at}/{chosen.prefix}/", "commit": commit})
    ctx.log.info("published %s/%s/", at, chosen.prefix)


def _publish(ctx: Context, chosen: Any, versions: Versions, inputs: Mapping[str, Any], repository: str) -> str:
    parts = {part: plain(inputs[part]) for part in chosen.parts if inputs.get(part) is not None}
    if not parts:
        raise StepError("none of the parts to publish was made", where="versions.parts")
    metadata = {
        **ctx.provenance,
        "mldlc.stage": ctx.stage,
        "mldlc.key": ctx.key,
        "mldlc.checks": "passed",  # expectations and gates stand before this step: it does not run where they failed
        **({"mldlc.profile": f"{chosen.prefix}/profile"} if "profile" in parts else {}),
    }
    reads = _reads(ctx, versions, repository, chosen.branch)
    draft = versions.draft(chosen.branch, run=f"{ctx.run}-{ctx.stage}")
    files = {
        f"{chosen.prefix}/{part}/{name}": path for part, item in parts.items() for name, path in item.files.items()
    }
    digests = {name: digest for name, path in files.items() if (digest := path_digest(path))}
    files[f"{chosen.prefix}/{MANIFEST}"] = _manifest(ctx, parts)
    for path in _replaced(versions, draft.base, chosen.prefix, parts):
        if path not in files:
            draft.remove(path)
    draft.put_many(files, digests=digests)
    tag = (chosen.tag or "").replace("{key}", ctx.key[:12])
    message = f"{ctx.provenance.get('mldlc.project', chosen.prefix)}: {ctx.stage} of run {ctx.run}"
    try:
        draft.commit(message, metadata)
    except NothingToCommit:
        draft.abandon()
        head = versions.resolve(chosen.branch)
        if tag and tag not in versions.tags():  # a run was stopped between the merge and the tag
            versions.tag(tag, head)
        return head
    try:
        return draft.publish(
            chosen.branch, reads=reads, metadata=metadata, message=message, strategy=chosen.strategy, tag=tag
        ).id
    except StaleRead:
        draft.abandon()  # the next plan makes another
        raise


def _replaced(versions: Versions, commit: str, prefix: str, parts: Mapping[str, Any]) -> Iterator[str]:
    """What was published before, and stays only where it is published again. Other files of the prefix are left alone.

    StepError when there are such files where a part should go: they would seem to belong to it.
    """
    try:
        with versions.open(commit, f"{prefix}/{MANIFEST}") as file:
            before = set(json.loads(file.read())["artifacts"])
    except (PathNotFound, ValueError, KeyError, TypeError):
        before = set()
    for part in sorted({*before, *parts}):
        for entry in versions.entries(commit, f"{prefix}/{part}/"):
            if part not in before:
                hint = "take it out of the branch, or choose another versions.prefix"
                raise StepError(
                    f"{entry.path} is in the way: no run has published it", where="versions.prefix", hint=hint
                )
            yield entry.path


def _manifest(ctx: Context, parts: Mapping[str, Any]) -> Path:
    """What `observe` compares: the key of this step, and what it published. No run and no time: equal is equal."""
    body = {"format": FORMAT, "key": ctx.key, "artifacts": {part: item.digest for part, item in parts.items()}}
    with tempfile.NamedTemporaryFile("w", dir=ctx.temp, suffix=".json", delete=False) as file:
        file.write(json.dumps(body, sort_keys=True, indent=2) + "\n")
    return Path(file.name)


def _reads(ctx: Context, versions: Versions, repository: str, branch: str) -> dict[str, str]:
    """Prefix -> digest of what the run read from the branch that it publishes to."""
    stem = f"{repository}@{branch}/" if repository != "store://" else f"{repository}{branch}/"
    found = {}
    for address, commit in ctx.pins.items():
        if address.startswith(stem):
            prefix = re.split(r"[*?\[]", address[len(stem) :], maxsplit=1)[0]  # what every match of a glob begins with
            found[prefix] = versions.digest(commit, prefix)
    return found
