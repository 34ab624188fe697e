"""Publishing to a folder: plain files of an approved model under versions/<id>, `current` swapped by one rename."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldlc.plan.context import Context

MANIFEST = "manifest.json"
PORTS = ("model", "preprocessor", "metrics", "report", "decision")


def observe(params: Mapping[str, Any], outputs: Path) -> dict[str, Any] | None:
    """What `current` holds: {key, shown, where}, or None when nothing is published."""
    folder = _folder(params["registry"]["path"], params["registry"]["name"], outputs)
    try:
        manifest = json.loads((folder / "current" / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return {
        "key": manifest.get("key"),
        "shown": f"key {str(manifest.get('key'))[:12]}",
        "where": str(folder / "current"),
    }


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Copy the inputs into a new version folder and point `current` at it. Safe to kill and to repeat."""
    folder = _folder(cfg.registry.path, cfg.registry.name, ctx.outputs)
    version = folder / "versions" / ctx.key[:16]
    if not (version / MANIFEST).exists():
        _fill(version, ctx, inputs)
    link = folder / f".current-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("versions") / version.name)
    link.replace(folder / "current")
    ctx.log.info("published %s", version)
    ctx.summary({"published": str(version)})


def _fill(version: Path, ctx: Context, inputs: Mapping[str, Any]) -> None:
    work = version.with_name(f".{version.name}-{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    digests = {}
    for port in PORTS:
        artifact = inputs.get(port)
        if artifact is None:
            continue
        digests[port] = artifact.digest
        for name, source in artifact.files.items():
            target = work / port / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    text = json.dumps({"format": "mldlc.published/1", "key": ctx.key, "artifacts": digests}, sort_keys=True, indent=2)
    (work / MANIFEST).write_text(text + "\n")
    for path in work.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    shutil.rmtree(version, ignore_errors=True)
    work.rename(version)


def _folder(path: str | None, name: str, outputs: Path) -> Path:
    return (Path(path) if path else outputs / "published") / name
