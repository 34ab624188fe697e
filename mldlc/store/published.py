"""What a branch holds of a publication: the observed state of the effect `versions.publish`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.versions import PathNotFound, RefNotFound, VersionsError
from mldlc.store.repository import connection, open_repository

MANIFEST = "manifest.json"


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
            manifest = json.loads(file.read())
    except (DiagnosticError, RefNotFound, PathNotFound, VersionsError, ValueError):
        return None
    key = str(manifest.get("key"))
    place = f"{repository}@{commit[:12]}" if repository != "store://" else f"{repository}{commit[:12]}"
    return {"key": key, "shown": f"key {key[:12]}", "where": f"{place}/{chosen['prefix']}/"}


def main() -> None:
    """Answer `observe` for a lakeFS repository: [params, outputs] on stdin, the state on stdout."""
    params, outputs = json.load(sys.stdin)
    chosen = params["versions"]
    print(json.dumps(_look(f"lakefs://{chosen['repository']}", connection(params), chosen, Path(outputs))))


if __name__ == "__main__":
    main()
