"""What a branch holds of a publication: the observed state of the effect `versions.publish`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mldlc.plan.diagnostic import Diagnostic, DiagnosticError
from mldlc.plan.versions import PathNotFound, RefNotFound, VersionsError
from mldlc.store.repository import connection, open_repository, parse_address
from mldlc.store.versions.globs import compile_glob, literal_prefix

MANIFEST = "manifest.json"
PUBLISHED = (MANIFEST, "part-00000.arrow", "model.safetensors", "profile.bin", "metrics.json", "report.html")


def observe(params: Mapping[str, Any], outputs: Path) -> dict[str, Any] | None:
    """{key, shown, where} of what stands at the head of the branch, None when nothing does or no server answers."""
    chosen = params["versions"]
    if chosen["kind"] == "lakefs":  # in a process of its own: planning never imports a client
        done = subprocess.run(
            [sys.executable, "-m", "mldlc.store.published"],
            input=json.dumps([dict(params), str(outputs)]),
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None  # type: ignore[no-any-return]
    return _look("store://", {}, chosen, outputs)


def _look(
    repository: str, config: Mapping[str, str], chosen: Mapping[str, Any], outputs: Path
) -> dict[str, Any] | None:
    try:
        versions = open_repository(repository, outputs, config=config)
        commit = versions.resolve(chosen["branch"])
        with versions.open(commit, f"{chosen['prefix']}/{MANIFEST}") as file:
            key = str(json.loads(file.read()).get("key"))
        tag = tag_name(chosen, key)
        tagged = not tag or tag in versions.tags()
    except (DiagnosticError, RefNotFound, PathNotFound, VersionsError, ValueError, AttributeError):
        return None
    place = f"{repository}@{commit[:12]}" if repository != "store://" else f"{repository}{commit[:12]}"
    shown = f"key {key[:12]}" if tagged else f"key {key[:12]} without tag {tag}"
    return {"key": key if tagged else "", "shown": shown, "where": f"{place}/{chosen['prefix']}/"}


def tag_name(chosen: Mapping[str, Any], key: str) -> str:
    """The tag of what is published with a key; "" for none."""
    return str(chosen.get("tag") or "").replace("{key}", key[:12])


def check_sources(config: Any, uris: Iterable[str]) -> None:
    """DiagnosticError `own_source` for sources read from where a config publishes to: no run were the last."""
    chosen = config.get("versions") if isinstance(config, Mapping) else None
    if not isinstance(chosen, Mapping) or chosen.get("kind") not in ("local", "lakefs"):
        return
    repository = f"lakefs://{chosen['repository']}" if chosen["kind"] == "lakefs" else "store://"
    folders = [f"{chosen['prefix']}/{part}/" for part in chosen["parts"]]
    made = [f"{chosen['prefix']}/{MANIFEST}", *(f"{folder}{name}" for folder in folders for name in PUBLISHED)]
    wrong = []
    for uri in uris:
        place = parse_address(uri)
        if (place.repository, place.ref) != (repository, chosen["branch"]):
            continue
        inside = next((folder for folder in folders if literal_prefix(place.path).startswith(folder)), "")
        found = inside or next(filter(compile_glob(place.path), made), "")
        if found:
            text = f"source {uri} has files that this run would publish there: {found}"
            hint = "choose another versions.prefix or versions.branch, or read it at a tag or a commit"
            wrong.append(Diagnostic("own_source", text, key="source.path", found=uri, hint=hint))
    if wrong:
        raise DiagnosticError(wrong)


def main() -> None:
    """Answer `observe` for a lakeFS repository: [params, outputs] on stdin, the state on stdout."""
    params, outputs = json.load(sys.stdin)
    chosen = params["versions"]
    print(json.dumps(_look(f"lakefs://{chosen['repository']}", connection(params), chosen, Path(outputs))))


if __name__ == "__main__":
    main()
