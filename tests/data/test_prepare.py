"""prepare: values against scikit-learn, fitted on the train part only, every rule, errors as text."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mldlc.artifacts.load import typed
from mldlc.artifacts.preprocessor import load_preprocessor
from mldlc.artifacts.tensors import Tensors, load_tensors
from mldlc.data import spec
from mldlc.plan.context import StepError
from tests.data.steps import collect, option, step, table
from tests.step_harness import StepRun

RNG = np.random.default_rng(0)
N = 600
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(d)) for d in RNG.integers(0, 700, N)]
FRAME = pl.DataFrame(
    {
        "x": pl.Series(RNG.normal(5, 3, N)).set(pl.Series(RNG.random(N) < 0.1), None),
        "long": RNG.lognormal(2, 1.5, N), "count": RNG.integers(0, 9, N),
        "kind": RNG.choice(["a", "b", "c"], N, p=[0.6, 0.39, 0.01]), "flag": RNG.random(N) > 0.3,
        "day": DAYS, "y": RNG.choice(["no", "yes"], N), "w": RNG.random(N), "fold": ["train"] * 400 + ["test"] * 200,
    }
)  # fmt: skip
ROLES = {"y": "label", "fold": "ignore", "w": "weight"}
TRAIN = (FRAME["fold"] == "train").to_numpy()


def prepared(
    folder: Path, frame: Any = FRAME, roles: dict[str, str] | None = None, select: Any = None, **changes: Any
) -> StepRun:
    """Run prepare; a dict changes a section of the config, anything else replaces it."""
    made = table(folder, frame, ROLES if roles is None else roles)
    by_fold = option("split", "column", by="fold", values={"train": ["train"], "test": ["test"]})
    split = step(spec.SPLIT, by_fold, folder, table=made).outputs["split"]
    config = option("prepare", "tabular")
    for name, value in changes.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    selection = step(spec.SELECT, select, folder, table=made, split=split).outputs["selection"] if select else None
    return step(spec.PREPARE, config, folder, table=made, split=split, selection=selection)


def tensors(run: StepRun) -> Tensors:
    return load_tensors(typed(run.outputs["table"]))


def feature(run: StepRun, name: str) -> np.ndarray:
    made = tensors(run)
    return made.numeric[:, made.info["numeric"].index(name)]


def test_layout_names_and_counts(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    made = tensors(run)
    assert made.info["numeric"] == [
        "x", "x.missing", "long", "count", "day.year", "day.month.sin", "day.month.cos", "day.dow.sin", "day.dow.cos"
    ]  # fmt: skip
    assert made.info["categorical"] == [
        {"name": "kind", "cardinality": 4, "values": [None, ":other", "a", "b"]},
        {"name": "flag", "cardinality": 4, "values": [None, ":other", "false", "true"]},
    ]
    assert made.info["label"] == {"name": "y", "kind": "class", "classes": ["no", "yes"]}
    assert made.label.dtype == np.int32 and (made.label == (FRAME["y"] == "yes").to_numpy()).all()
    assert made.weight is not None and np.array_equal(made.weight, FRAME["w"].cast(pl.Float32).to_numpy())
    assert (made.categorical[:, 0] == FRAME["kind"].replace_strict({"a": 2, "b": 3, "c": 1}).to_numpy()).all()
    assert run.summary == {"rows": 600, "fit_rows": 400, "numeric": 9, "categorical": 2, "classes": 2}


@pytest.mark.parametrize("impute", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
def test_numbers_agree_with_scikit_learn(impute: str, scale: str, tmp_path: Path) -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    run = prepared(tmp_path, numeric={"impute": impute, "scale": scale, "fill": 1.5})
    strategy = impute if impute != "constant" else "constant"
    peer = make_pipeline(
        SimpleImputer(strategy=strategy, fill_value=1.5),
        {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}[scale](),
    )
    x = FRAME["x"].fill_null(float("nan")).to_numpy().reshape(-1, 1)
    wanted = peer.fit(x[TRAIN]).transform(x)[:, 0]
    np.testing.assert_allclose(feature(run, "x"), wanted, rtol=2e-6, atol=2e-6)


def test_quantile_scale_is_close_to_normal_and_to_scikit_learn(tmp_path: Path) -> None:
    from sklearn.preprocessing import QuantileTransformer

    made = feature(prepared(tmp_path, numeric={"scale": "quantile"}), "long")
    x = FRAME["long"].to_numpy().reshape(-1, 1)
    peer = QuantileTransformer(n_quantiles=256, output_distribution="normal").fit(x[TRAIN]).transform(x)[:, 0]
    middle = np.abs(peer) < 2
    assert np.abs(made - peer)[middle].max() < 0.05
    assert abs(made[TRAIN].std() - 1) < 0.05


def test_clip_and_log1p(tmp_path: Path) -> None:
    run = prepared(tmp_path, numeric={"clip": [0.1, 0.9], "log1p": "auto", "skew": 0.5, "scale": "none"})
    x = FRAME["long"].to_numpy()
    low, high = np.quantile(x[TRAIN], [0.1, 0.9])
    np.testing.assert_allclose(feature(run, "long"), np.log1p(np.clip(x, low, high)), rtol=1e-6)
    assert feature(run, "count").max() <= 9 and "log1p" not in str(
        [op for op in load_preprocessor(run.outputs["preprocessor"]).ops if op["of"] == "count"]
    )


def test_one_hot_and_overrides(tmp_path: Path) -> None:
    run = prepared(
        tmp_path, categorical={"encode": "one_hot", "rare_count": 1}, dates={"parts": [], "cyclical": True},
        columns={
            "flag": {"treat": "numeric", "scale": "none"}, "count": {"treat": "categorical", "encode": "codes"},
            "long": {"treat": "drop"}, "x": {"impute": "constant", "fill": -1.0, "scale": "none", "indicator": False},
        },
    )  # fmt: skip
    made = tensors(run)
    assert made.info["numeric"] == ["x", "flag", "kind=:missing", "kind=:other", "kind=a", "kind=b", "kind=c"]
    assert (feature(run, "kind=c") == (FRAME["kind"] == "c").to_numpy()).all()
    assert (feature(run, "flag") == FRAME["flag"].to_numpy()).all()
    assert np.array_equal(feature(run, "x"), FRAME["x"].fill_null(-1.0).cast(pl.Float32).to_numpy())
    assert made.info["categorical"][0]["values"] == [None, ":other", *"012345678"]


def test_rare_values_and_the_most_frequent(tmp_path: Path) -> None:
    run = prepared(tmp_path, categorical={"rare_count": 1, "max_values": 1})
    assert tensors(run).info["categorical"][0]["values"] == [None, ":other", "a"]
    facts = load_preprocessor(run.outputs["preprocessor"]).fit["categorical"]["kind"]  # type: ignore[index]
    counts = FRAME["kind"].filter(pl.Series(TRAIN)).value_counts().rows_by_key("kind", unique=True)
    assert facts == {"counts": [counts["a"][0]], "missing": 0, "other": 400 - counts["a"][0]}


def test_derived_features(tmp_path: Path) -> None:
    derived = [
        {"name": "r", "op": "ratio", "of": ["long", "count"]}, {"name": "p", "op": "product", "of": ["long", "r"]},
        {"name": "d", "op": "difference", "of": ["long", "count"]}, {"name": "l", "op": "log", "of": ["long"]},
    ]  # fmt: skip
    run = prepared(tmp_path, derived=derived, numeric={"scale": "none", "impute": "constant", "fill": -7.0})
    long, count = FRAME["long"].to_numpy(), FRAME["count"].to_numpy()
    with np.errstate(divide="ignore"):
        ratio = np.where(count == 0, np.nan, long / count)
    for name, wanted in (("r", ratio), ("p", long * ratio), ("d", long - count), ("l", np.log(long))):
        np.testing.assert_allclose(feature(run, name), np.where(np.isnan(wanted), -7.0, wanted), rtol=1e-6)
    assert (feature(run, "r.missing") == (count == 0)).all()


def test_only_train_rows_are_fitted(tmp_path: Path) -> None:
    """Changing the test rows changes no fitted number, and no tensor of a train row."""
    wild = FRAME.with_columns(
        x=pl.when(pl.col("fold") == "test").then(1e6).otherwise(pl.col("x")),
        kind=pl.when(pl.col("fold") == "test").then(pl.lit("new")).otherwise(pl.col("kind")),
    )
    one, two = prepared(tmp_path / "a"), prepared(tmp_path / "b", wild)
    assert one.digest("preprocessor") == two.digest("preprocessor")
    assert np.array_equal(tensors(one).numeric[TRAIN], tensors(two).numeric[TRAIN])
    assert (tensors(two).categorical[~TRAIN, 0] == 1).all()


def test_partitions_do_not_matter_and_are_kept(tmp_path: Path) -> None:
    one, two = prepared(tmp_path / "a"), prepared(tmp_path / "b", [FRAME[:123], FRAME[123:]])
    assert one.digest("preprocessor") == two.digest("preprocessor")
    assert np.array_equal(tensors(one).numeric, tensors(two).numeric)
    assert [p.rows for p in typed(two.outputs["table"]).partitions] == [123, 477]


def test_selection_leaves_columns_out(tmp_path: Path) -> None:
    run = prepared(tmp_path, select=option("select", "filter", max_categories=2, max_constant=0.5))
    names = {item["name"] for item in load_preprocessor(run.outputs["preprocessor"]).inputs}
    assert names == {"x", "long", "count", "day"}


def test_a_label_of_numbers(tmp_path: Path) -> None:
    for name, values, kind in (
        ("f", [0.5] * N, "value"),
        ("i", list(range(N)), "value"),
        ("b", [0, 1] * (N // 2), "class"),
    ):
        made = tensors(prepared(tmp_path / name, FRAME.with_columns(y=pl.Series(values))))
        assert (made.info["label"]["kind"], made.label.dtype) == (kind, np.float32 if kind == "value" else np.int32)
    made = tensors(prepared(tmp_path / "c", FRAME.with_columns(y=pl.Series([3, 1, 7] * 200)), label="class"))
    assert made.info["label"]["classes"] == [1, 3, 7] and made.label[:3].tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"columns": {"lnog": {"scale": "none"}}}, "prepare.columns names 'lnog', which is no column", "'long'"),
        ({"numeric": {"log1p": ["kind"]}}, "'kind' is no numeric feature", ""),
        ({"derived": [{"name": "r", "op": "ratio", "of": ["long"]}]}, "ratio takes 2 columns, found 1", ""),
        (
            {"derived": [{"name": "r", "op": "ratio", "of": ["long", "cuont"]}]},
            "'cuont' is no numeric feature that comes before 'r'", "did you mean 'count'?",
        ),
        ({"derived": [{"name": "x", "op": "log", "of": ["long"]}]}, "two features would be called 'x'", ""),
        ({"columns": {"kind": {"treat": "numeric"}}}, "column 'kind' is String and cannot be read as numbers", "clean.cast"),
        ({"columns": {"long": {"treat": "categorical"}}}, "column 'long' has fractions and cannot be read as cate", ""),
        ({"label": "value"}, "label 'y' is String, not a number", ""),
        ({"roles": {"fold": "ignore"}}, "the table has no column with the role label", "source.roles"),
        ({"frame": FRAME.with_columns(l=pl.Series([[1]] * N))}, "column 'l' has type List(Int64), which no rule", "ignore"),
        ({"frame": FRAME.with_columns(y=pl.Series(["no", None, "yes"] * 200))}, "label 'y' is null in p0, row 2 (200 such", "clean"),
        (
            {"frame": FRAME.with_columns(y=pl.Series(["no", "yes"] * 200 + ["new"] * 200))},
            "label 'y' is 'new' in p0, row 401: a class that the train part has not (200 such rows)", "stratified",
        ),
        ({"frame": FRAME.with_columns(y=pl.lit("no"))}, "label 'y' has one class only in part 'train'", ""),
    ],
)  # fmt: skip
def test_mistakes_are_told(changes: Any, message: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(StepError) as found:
        prepared(tmp_path, **changes)
    assert message in found.value.message and hint in found.value.hint


def test_columns_of_nulls_and_constants_do_no_harm(tmp_path: Path) -> None:
    odd = FRAME.with_columns(
        x=pl.lit(None, pl.Float64), long=pl.lit(0.1) + 0.2, kind=pl.lit(None, pl.String), count=pl.lit(math.inf)
    )
    made = tensors(prepared(tmp_path, odd))
    assert np.isfinite(made.numeric).all()
    assert (made.categorical[:, 0] == 0).all() and np.abs(feature(prepared(tmp_path / "q", odd), "long")).max() < 1e-9


@pytest.mark.parametrize("name", ["adult", "housing"])
def test_real_data_rows_are_served_as_they_were_trained(name: str, tmp_path: Path) -> None:
    made = collect(option("source", name), tmp_path).outputs["table"]
    split = step(spec.SPLIT, option("split", "stratified"), tmp_path, table=made).outputs["split"]
    run = step(spec.PREPARE, option("prepare", "tabular"), tmp_path, table=made, split=split, selection=None)
    stored, frame = tensors(run), typed(made).load()
    serving = load_preprocessor(run.outputs["preprocessor"])
    for at in range(0, frame.height, 501):
        one = serving.transform_row(frame.row(at, named=True))
        assert one["numeric"] == stored.numeric[at].tolist() and one["categorical"] == stored.categorical[at].tolist()
    train = typed(split).mask("train")
    scaled = stored.numeric[train][:, [i for i, n in enumerate(stored.info["numeric"]) if not n.endswith(".missing")]]
    assert np.abs(scaled.mean(0)).max() < 1e-4 and np.abs(scaled.std(0) - 1).max() < 1e-3
