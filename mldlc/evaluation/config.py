"""The config schemas of evaluation: what to measure, on which slices, and which studies of the model to make."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from mldlc.config.schema import Config, result


class Nothing(Config):
    """The study is left out."""

    kind: Literal["none"]


class Bootstrap(Config):
    """Confidence intervals by resampling rows; no samples: no intervals."""

    samples: int = result(0, ge=0, le=10_000)
    confidence: float = result(0.95, gt=0, lt=1)
    seed: int = result(0, ge=0)


class TorchMetrics(Config):
    """Further metrics by their names in torchmetrics.functional, per task (without its `binary_`, `multiclass_`)."""

    binary: list[str] = result(["matthews_corrcoef", "cohen_kappa"])
    multiclass: list[str] = result(["matthews_corrcoef", "cohen_kappa"])
    regression: list[str] = result(["explained_variance", "concordance_corrcoef"])


class EvaluateConfig(Config):
    """Aggregate metrics, curves and predictions.

    parts: parts of the split, or all of them. threshold: of a binary decision; a number, or the rule that chooses it
    on the rows of `threshold_part` (never on the test rows).
    """

    kind: Literal["standard"]
    parts: Literal["all"] | list[str] = result("all")
    batch_size: int = result(65536, ge=1)
    threshold: float | Literal["f1", "youden"] = result(0.5)
    threshold_part: str = result("val")
    calibration_bins: int = result(15, ge=2, le=1000)
    curve_points: int = result(200, ge=2, le=10_000)
    bootstrap: Bootstrap = result(Bootstrap())
    torchmetrics: TorchMetrics = result(TorchMetrics())


class LanguageEvaluate(Config):
    """How well a model tells the next token of a text.

    stride: windows of the model's context begin that many tokens apart and only their last `stride` tokens count; null
    puts them side by side, so that a token is told from half a context on average. max_tokens: at most so many of a
    part, from its start.
    """

    kind: Literal["language"]
    parts: Literal["all"] | list[str] = result("all")
    batch_size: int = result(64, ge=1)
    stride: Annotated[int, Field(ge=1)] | None = result(None)
    max_tokens: int = result(200_000, ge=2)


class ColumnSlices(Config):
    """Slices by named columns of the cleaned table; an item may be a list of columns that are crossed.

    bins: numeric columns are cut at this many quantiles of the rows of `parts`. max_values: the most frequent values
    that get a slice.
    """

    kind: Literal["columns"]
    columns: list[str | list[str]] = result([])
    parts: list[str] = result(["test"])
    bins: int = result(5, ge=2, le=100)
    min_rows: int = result(30, ge=1)
    max_values: int = result(20, ge=1)


class AutoSlices(Config):
    """Every column of the cleaned table is cut; the `worst` slices by `metric` (auto: the task's) are kept."""

    kind: Literal["auto"]
    worst: int = result(20, ge=1)
    metric: str = result("auto")
    parts: list[str] = result(["test"])
    bins: int = result(5, ge=2, le=100)
    min_rows: int = result(50, ge=1)
    max_values: int = result(20, ge=1)


Slices = Annotated[Nothing | ColumnSlices | AutoSlices, Field(discriminator="kind")]


class Boosting(Config):
    """Gradient-boosted trees by scikit-learn (`pip install 'mldlc[boost]'`), fitted on the linear benchmark's rows.

    rounds: trees at most; a tenth of the rows is held back and stops it when `patience` rounds brought nothing.
    """

    rounds: int = result(300, ge=1)
    learning_rate: float = result(0.1, gt=0)
    leaves: int = result(31, ge=2)
    min_leaf_rows: int = result(20, ge=1)
    l2: float = result(0.0, ge=0)
    patience: int = result(10, ge=1)
    seed: int = result(0, ge=0)


class StandardDiagnose(Config):
    """Benchmark models, bias and variance, residuals and sensitivity.

    human_level: what people reach on this task in `metric` (auto: the task's), null when unknown. rows: at most so
    many training rows, drawn with `seed`, fit the linear benchmark; probe_rows: of `part`, carry the sensitivity study.
    """

    kind: Literal["standard"]
    part: str = result("test")
    metric: str = result("auto")
    human_level: float | None = result(None)
    rows: int = result(50_000, ge=100)
    probe_rows: int = result(10_000, ge=10)
    iterations: int = result(100, ge=1)
    l2: float = result(1e-4, ge=0)
    worst_rows: int = result(20, ge=0)
    values: int = result(20, ge=1)
    batch_size: int = result(65536, ge=1)
    seed: int = result(0, ge=0)
    boosting: Boosting | None = result(None, neutral=None)


class Scores(Config):
    """Scores of train rows out of fold: each by a model that learnt from the other folds, on at most `rows` of their
    rows: a linear one by L-BFGS, or boosted trees.
    """

    folds: int = result(5, ge=2, le=50)
    rows: int = result(50_000, ge=100)
    iterations: int = result(50, ge=1)
    l2: float = result(1e-4, ge=0)
    boosting: Boosting | None = result(None)
    seed: int = result(0, ge=0)


class ConfidentLabels(Config):
    """What becomes of train rows whose label is likely wrong: they are only named, dropped, or given a likelier label.

    rule: which rows of a class are named, see Northcutt et al. 2021, section 3.2. max_share: of the train rows, the
    surest first. fence: of a number, interquartile ranges of the residual. listed: rows in the report. scores: see
    there.
    """

    kind: Literal["find", "drop", "relabel"]
    rule: Literal["class", "noise_rate", "both"] = result("noise_rate")
    max_share: float = result(0.05, gt=0, le=0.5)
    fence: float = result(3.0, ge=0)
    listed: int = result(100, ge=0)
    scores: Scores = result(Scores())


Labels = Annotated[Nothing | ConfidentLabels, Field(discriminator="kind")]

Diagnose = Annotated[Nothing | StandardDiagnose, Field(discriminator="kind")]


class StandardRobustness(Config):
    """Perturbed inputs and the metric that is lost.

    noise: standard deviations of Gaussian noise, in units of each column's own. missing, shuffle: columns one by one
    set to their mean or most frequent value, or categorical columns permuted among the rows.
    """

    kind: Literal["standard"]
    part: str = result("test")
    metric: str = result("auto")
    noise: list[float] = result([0.1, 0.25, 0.5, 1.0])
    missing: bool = result(True)
    shuffle: bool = result(True)
    repeats: int = result(3, ge=1)
    rows: int = result(20_000, ge=10)
    batch_size: int = result(65536, ge=1)
    seed: int = result(0, ge=0)


Robustness = Annotated[Nothing | StandardRobustness, Field(discriminator="kind")]


class PermutationXai(Config):
    """Permutation importance: the metric that is lost when one input is permuted among the rows."""

    kind: Literal["permutation"]
    part: str = result("val")
    metric: str = result("auto")
    repeats: int = result(5, ge=1)
    rows: int = result(10_000, ge=10)
    batch_size: int = result(65536, ge=1)
    seed: int = result(0, ge=0)


class GradientXai(Config):
    """Attribution of inputs by gradients: integrated along a path from the typical row, or gradient x input.

    Categories go along the line between embeddings. values: the most frequent values of a category that are told each.
    """

    kind: Literal["gradients"]
    method: Literal["integrated", "gradient_x_input"] = result("integrated")
    part: str = result("val")
    steps: int = result(16, ge=1)
    values: int = result(20, ge=1, neutral=20)
    rows: int = result(5_000, ge=1)
    seed: int = result(0, ge=0)


class CompareConfig(Config):
    """What the points of a sweep are judged by, in every stage that looks at all of them.

    metric: auto is the task's primary one. mode: auto is the direction in which the metric is better. part: of the
    split, never the test rows: a score that chose the model says nothing about new data.
    """

    kind: Literal["standard"]
    metric: str = result("auto")
    mode: Literal["auto", "min", "max"] = result("auto")
    part: str = result("val")

    @field_validator("part")
    @classmethod
    def _not_test(cls, value: str) -> str:
        if value == "test":
            raise ValueError("a model must not be chosen on the test rows; choose on val")
        return value


class MeanEnsemble(Config):
    """The mean prediction of the best `top` points."""

    kind: Literal["mean"]
    top: int = result(5, ge=2)


Ensemble = Annotated[Nothing | MeanEnsemble, Field(discriminator="kind")]

Xai = Annotated[Nothing | PermutationXai | GradientXai, Field(discriminator="kind")]
