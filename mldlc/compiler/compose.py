"""Pass `compose`: the config tree and the command line become one resolved config a point."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mldlc.compiler.draft import Draft, DraftPoint
from mldlc.config.compose import Request, compose
from mldlc.config.lock import floating, unpinned
from mldlc.plan.diagnostic import DiagnosticError


def run(draft: Draft) -> None:
    """Compose all points; find the outputs root and the plan's name."""
    ask = draft.ask
    request = Request(ask.config_name, ask.overrides, ask.multirun, ask.config_dir, ask.points)
    try:
        composition = compose(ask.project, request)
    except DiagnosticError as error:
        from mldlc.compiler.rest import mistakes_of_the_rest

        raise DiagnosticError([*error.diagnostics, *mistakes_of_the_rest(draft, error.diagnostics)]) from error
    draft.composition = composition
    draft.points = tuple(DraftPoint(p.id, p.overrides, p.config) for p in composition.points)
    draft.files = composition.files
    draft.snapshot = replace(draft.snapshot, refs=composition.refs)
    draft.held = ask.project.lock.data
    draft.diagnostics += unpinned(composition.pins) if ask.locked else floating(composition.pins)
    config = composition.points[0].config
    draft.outputs = outputs_root(draft.root, config)
    project = config.get("project")
    named = project.get("name") if isinstance(project, dict) else None
    draft.name = str(named or ask.project.name or "default")
    if ask.project.revision is not None:
        from mldlc.compiler.revision import lay_out

        draft.rev = str(ask.project.revision)
        lay_out(draft, ask.project.revision)


def outputs_root(root: Path, config: dict[str, object]) -> Path:
    """`paths.outputs`, else MLDLC_OUTPUTS, else `outputs` under the project root."""
    paths = config.get("paths")
    chosen = paths.get("outputs") if isinstance(paths, dict) else None
    path = Path(str(chosen or os.environ.get("MLDLC_OUTPUTS") or "outputs"))
    return path if path.is_absolute() else root / path
