"""distillation: teachers, student and undistilled twin on the same rows: what distillation bought, at what size."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import LoadedModel, load_model, members
from mldlc.evaluation.rounding import write_report
from mldlc.evaluation.scoring import Study, load_study
from mldlc.evaluation.task import Sample
from mldlc.evaluation.threads import one_thread
from mldlc.plan.context import Context

FORMAT = "mldlc.distillation/1"
SAMPLES = 200  # bootstrap replicates where `evaluate.bootstrap` asks for none
TIMED_ROWS, REPEATS, SINGLE = 4096, 5, 50
MEAN = "teachers' mean"


@dataclass(frozen=True)
class Judged:
    """One model, or the mean of the teachers. bytes: of its files. rows: positions of the sample's rows in the part."""

    name: str
    parameters: int
    bytes: int
    sample: Sample
    rows: np.ndarray
    scores: Mapping[str, Any]


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write distillation.json, and timing.json, whose times no other run will give again."""
    teachers = members(inputs["teachers"])
    every = {**teachers, "student": inputs["student"], "twin": inputs["twin"]}
    study = load_study({"model": inputs["student"], "table": inputs["table"], "split": inputs["split"]})
    part = "test" if "test" in study.names else study.names[-1]
    models = {name: load_model(artifact) for name, artifact in every.items()}
    judged = _judge(study, part, models, every, list(teachers), cfg.evaluate.batch_size)
    report = _report(study, part, judged, list(teachers), cfg.evaluate.bootstrap)
    written = write_report(ctx.out("report") / "distillation.json", report)
    ctx.progress(1, 2, "measured")
    timing = {name: _time(model, study, part) for name, model in models.items()}
    write_report(ctx.out("timing") / "timing.json", {"format": "mldlc.timing/1", "threads": 1, "models": timing})
    told = {name: written["models"][name]["value"] for name in (written["teacher"], "student", "twin")}
    gain = {"gain": written["gain"]["value"], "kept": written["kept"]["value"], "size": written["size"]}
    ctx.summary(
        {"by": f"{part} {written['metric']}", **{key.split("'")[0]: value for key, value in told.items()}, **gain}
    )


def _judge(
    study: Study, part: str, models: Mapping[str, LoadedModel], artifacts: Mapping[str, Artifact], teachers: list[str],
    batch_size: int,
) -> dict[str, Judged]:  # fmt: skip
    """All models on the rows of a part; the teachers' mean stands behind them where there are several."""
    order = {name: study.rows(name, "split") for name in study.names}
    counts = {n: sum(p.numel() for p in m.module.parameters()) for n, m in models.items()}
    sizes = {name: artifact.size() for name, artifact in artifacts.items()}
    said = {
        name: {
            one: replace(study, model=model).predict(*study.inputs(rows), batch_size)
            for one, rows in order.items()
            if len(rows)
        }
        for name, model in models.items()
    }
    if len(teachers) > 1:
        said[MEAN] = {one: np.mean([said[t][one] for t in teachers], axis=0) for one in said[teachers[0]]}
        counts[MEAN], sizes[MEAN] = (sum(table[t] for t in teachers) for table in (counts, sizes))
    found = {}
    for name, predictions in said.items():
        samples = {one: study.sample(order[one], values) for one, values in predictions.items()}
        scores = {one: study.task.measure(sample)[study.task.primary] for one, sample in samples.items()}
        rows = np.searchsorted(order[part], samples[part].rows)
        found[name] = Judged(name, counts[name], sizes[name], samples[part], rows, scores)
    return found


def _report(study: Study, part: str, judged: Mapping[str, Judged], teachers: list[str], boot: Any) -> dict[str, Any]:
    task, metric = study.task, study.task.primary
    higher = task.better[metric] == "higher"
    teacher = judged[MEAN if len(teachers) > 1 else teachers[0]]
    student, twin = judged["student"], judged["twin"]
    rows, samples = len(study.rows(part, "split")), boot.samples or SAMPLES
    draws = _replicates(study, judged, rows, samples, boot.seed)
    tail = (1 - boot.confidence) / 2

    def interval(values: np.ndarray) -> list[float] | None:
        known = values[np.isfinite(values)]
        return [float(v) for v in np.quantile(known, [tail, 1 - tail])] if len(known) > 1 else None

    def kept(own: Any, other: Any) -> Any:
        return own / other if higher else other / own

    sign = 1.0 if higher else -1.0
    gain = sign * (draws["student"] - draws["twin"])
    values = {name: item.scores[part] for name, item in judged.items()}
    return {
        "format": FORMAT, "task": task.kind, "part": part, "metric": metric, "better": task.better[metric],
        "rows": rows, "confidence": boot.confidence, "samples": samples, "teacher": teacher.name, "teachers": teachers,
        "models": {
            name: {
                "value": values[name], "interval": interval(draws[name]), "parameters": item.parameters,
                "bytes": item.bytes, "parts": item.scores,
            }
            for name, item in judged.items()
        },
        "gain": {"value": sign * (values["student"] - values["twin"]), "interval": interval(gain)},
        "kept": {
            "value": kept(values["student"], values[teacher.name]),
            "interval": interval(kept(draws["student"], draws[teacher.name])),
        },
        "size": student.parameters / teacher.parameters,
        "twin_parameters": twin.parameters,
    }  # fmt: skip


def _replicates(
    study: Study, judged: Mapping[str, Judged], rows: int, samples: int, seed: int
) -> dict[str, np.ndarray]:
    """The metric of every model in each bootstrap replicate; a replicate draws the same rows for all (paired)."""
    generator = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in judged}
    for _ in range(samples):
        count = np.bincount(generator.integers(0, rows, rows), minlength=rows).astype(np.float64)
        for name, item in judged.items():
            weight = count[item.rows]
            weight = weight if item.sample.weight is None else weight * item.sample.weight
            value = study.task.measure(item.sample, weight)[study.task.primary]
            found[name].append(np.nan if value is None else value)
    return {name: np.array(values) for name, values in found.items()}


def _time(model: LoadedModel, study: Study, part: str) -> dict[str, Any]:
    """Seconds a row, the best of some repeats: in one batch, and of rows that come one by one."""
    numeric, categorical = study.inputs(study.rows(part, "split")[:TIMED_ROWS])
    with one_thread():
        batch = min(_clock(model, numeric, categorical) for _ in range(REPEATS))
        single = min(
            _clock(model, numeric[i : i + 1], categorical[i : i + 1]) for i in range(min(SINGLE, len(numeric)))
        )
    return {"rows": len(numeric), "seconds_per_row": batch / len(numeric), "seconds_one_row": single}


def _clock(model: LoadedModel, numeric: np.ndarray, categorical: np.ndarray) -> float:
    began = time.perf_counter()
    model.predict(numeric, categorical)
    return time.perf_counter() - began
