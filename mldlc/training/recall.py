"""The step `training.recall`: models that were made earlier become artifacts of this plan, without a copy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mldlc.plan.context import Context, StepError
from mldlc.training.distill_config import MODEL_FILES

FORMAT = "mldlc.model/1"


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write port `model`: one model, or several in numbered folders."""
    facts: dict[str, Any] = {}
    for number, source in enumerate(ctx.sources):
        files = _files(ctx, source)
        missing = [name for name in MODEL_FILES if name not in files]
        if missing:
            raise StepError(
                f"{source['name']} is no model: it has no {missing[0]}, but {', '.join(sorted(files)) or 'nothing'}",
                where="distill.teacher", hint="name the folder of a model artifact, or RUN:STAGE of a training",
            )  # fmt: skip
        card = json.loads(files["model.json"].read_bytes())
        if card.get("format") != FORMAT:
            raise StepError(f"{source['name']} is no {FORMAT} but {card.get('format')!r}", where="distill.teacher")
        prefix = f"{number:02d}/" if len(ctx.sources) > 1 else ""
        for name in MODEL_FILES:
            ctx.adopt("model", prefix + name, files[name])
        facts[f"parameters{number + 1 if number else ''}"] = card.get("parameters")
    ctx.summary(facts)


def _files(ctx: Context, source: Mapping[str, Any]) -> dict[str, Path]:
    """File name -> bytes, of the folder in which the card lies."""
    if source["paths"]:
        return {Path(path).name: Path(path) for path in source["paths"]}
    found = ctx.source(source["uri"], local=source["uri"].startswith("lakefs://"))
    names = {PurePosixPath(name): Path(path) for name, path in zip(found.logical, found.paths, strict=True)}
    folders = sorted({name.parent for name in names if name.name == "model.json"})
    if len(folders) > 1:
        raise StepError(
            f"{source['name']} holds several models: {', '.join(map(str, folders))}", where="distill.teacher",
            hint="name the folder of one of them",
        )  # fmt: skip
    wanted = folders[0] if folders else PurePosixPath(".")
    return {name.name: path for name, path in names.items() if name.parent == wanted} or {
        str(name): path for name, path in names.items()
    }
