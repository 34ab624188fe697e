"""Pass `compose`: the config tree and the command line become one resolved config a point."""

from __future__ import annotations

import os
from pathlib import Path

from mldlc.compiler.draft import Draft
from mldlc.config.compose import compose


def run(draft: Draft) -> None:
    """Compose all points; find the outputs root, the plan's name and the settings that the engine needs."""
    composition = compose(draft.ask.project, draft.ask.request)
    draft.composition = composition
    config = composition.points[0].config
    draft.outputs = outputs_root(draft.root, config)
    project = config.get("project") or {}
    draft.name = str(project.get("name") or draft.ask.project.name) if isinstance(project, dict) else "default"


def outputs_root(root: Path, config: dict[str, object]) -> Path:
    """`paths.outputs`, else MLDLC_OUTPUTS, else `outputs` under the project root."""
    paths = config.get("paths")
    chosen = paths.get("outputs") if isinstance(paths, dict) else None
    path = Path(str(chosen or os.environ.get("MLDLC_OUTPUTS") or "outputs"))
    return path if path.is_absolute() else root / path
