"""Config of distillation: the group `distill`, an earlier model by reference, and what is asked of teachers. Light."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mldlc.config.schema import Config, location, result, runtime
from mldlc.plan.source import SourceRef

VERSIONED = ("store://", "lakefs://")  # store://<ref>/<folder>, lakefs://<repository>@<ref>/<folder>
NAMED = ("run://", "registry://")  # run://<run>/<stage>, registry://<name>[/<version>]
MODEL_FILES = ("model.json", "model.safetensors")


def _earlier(value: Any) -> Any:
    """A text or a list of texts as an `Earlier`; RUN and RUN:STAGE become run:// addresses."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return value
    return {"refs": [_address(text) for text in texts]}


def _address(text: str) -> str:
    found = re.fullmatch(r"([\w-]+)(?::([\w#-]+))?", text)
    return f"run://{found[1]}/{found[2] or 'train'}" if found else text


class Earlier(Config):
    """Models made earlier, by reference: a run (`RUN:STAGE`, `run://RUN/STAGE`), a registry (`registry://NAME`,
    `registry://NAME/VERSION`), versioned data (`store://REF/FOLDER`, `lakefs://REPOSITORY@REF/FOLDER`) or a folder.

    Written as one text or a list of texts. What a reference stands for is pinned in the plan.
    """

    refs: list[str] = location(..., min_length=1)

    @model_validator(mode="after")
    def _no_moving_run(self) -> Earlier:
        for ref in self.refs:
            if ref.startswith("run://latest/"):
                raise ValueError("'latest' is another run after every run: name the run (mldlc ls runs)")
        return self


EarlierModel = Annotated[Earlier, BeforeValidator(_earlier)]


def earlier_refs(cfg: Any) -> tuple[SourceRef, ...]:
    """What `training.recall` reads."""
    return tuple(_source(text) for text in cfg.earlier.refs)


def _source(text: str) -> SourceRef:
    if text.startswith(VERSIONED):
        whole = text if text.endswith("/") or "*" in text else f"{text}/"
        return SourceRef(whole, text, (), "version")
    if text.startswith(NAMED):
        return SourceRef(text, text, (), "version")
    paths = tuple(str(Path(text) / name) for name in MODEL_FILES)
    return SourceRef(f"file:{text}", Path(text).name, paths, "content")


class Lessons(Config):
    """What teachers are asked on every row of a data set; the answers are kept, and shared by all their students.

    hidden: a hidden layer too, for `distill=features`: the path of a module of the teacher whose output is taken, or
    `auto`, what its last linear layer is given.
    """

    hidden: Annotated[str, Field(min_length=1)] | None = result(None)
    batch_size: int = runtime(8192, ge=1)


class Schedule(Config):
    """How the teachers' share and the temperature move over the training, from what `distill` says to these ends."""

    kind: Literal["constant", "linear", "cosine"] = result("constant")
    final_weight: Annotated[float, Field(ge=0, le=1)] | None = result(None)
    final_temperature: Annotated[float, Field(gt=0)] | None = result(None)

    @model_validator(mode="after")
    def _moves(self) -> Schedule:
        ends = self.final_weight is not None or self.final_temperature is not None
        if ends == (self.kind == "constant"):
            raise ValueError("a constant schedule has no final values, and any other has at least one")
        return self


class _Taught(Config):
    """What all kinds share.

    teacher: an earlier model (see `Earlier`); null where the stage `teacher` trains one (group `teacher`).
    temperature: divides the raw outputs of teacher and student; for classes only. weight: the teachers' share of the
    loss, the label has the rest. The loss of soft targets is multiplied by the temperature squared.
    """

    teacher: EarlierModel | None = location(None)
    temperature: float = result(2.0, gt=0)
    weight: float = result(0.5, ge=0, le=1)
    schedule: Schedule = result(Schedule())
    lessons: Lessons = result(Lessons())


class Logits(_Taught):
    """The student learns the label and what one teacher says (Hinton, Vinyals, Dean, 2015)."""

    kind: Literal["logits"]


class Features(_Taught):
    """The same, and a hidden layer of the student, through a linear map, is drawn to one of the teacher.

    hidden: path of a module of the student, or `auto`; of the teacher: `lessons.hidden`. hidden_weight: factor on the
    distance of the two layers: `mse` to the teacher's in standard units, or `cosine`.
    """

    kind: Literal["features"]
    hidden: str = result("auto", min_length=1)
    hidden_weight: float = result(0.1, gt=0)
    distance: Literal["mse", "cosine"] = result("mse")

    @model_validator(mode="after")
    def _asked(self) -> Features:
        if self.lessons.hidden is None:
            raise ValueError("distill=features needs lessons.hidden: a module of the teacher, or auto")
        return self


class Ensemble(_Taught):
    """The student learns the mean of what several teachers say, each at the temperature.

    weights: of the teachers, in the order of the wiring; null: all alike.
    """

    kind: Literal["ensemble"]
    weights: list[Annotated[float, Field(gt=0)]] | None = result(None)


Distill = Annotated[Logits | Features | Ensemble, Field(discriminator="kind")]
