"""Makes the bundled data sets from the raw files: `python -m tests.data.build_bundled` (run again: equal bytes)."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import yaml

from mldlc.data.config.source import BUNDLED
from tests.shared_data import ROOT

CONF = Path(__file__).resolve().parents[2] / "conf" / "source"
RAW = {"adult": "adult.data", "housing": "housing.csv"}
TYPES = {"int64": pl.Int64, "float64": pl.Float64, "string": pl.String}


def raw_frame(name: str) -> pl.DataFrame:
    """The raw file with the declared types of `conf/source/<name>_csv.yaml`, read without the package's own reader."""
    declared = yaml.safe_load((CONF / f"{name}_csv.yaml").read_text())
    types = {column: TYPES[item["dtype"]] for column, item in declared["columns"].items()}
    text = (ROOT / RAW[name]).read_text().replace(", ", ",")
    return pl.read_csv(
        io.StringIO(text), has_header=declared["has_header"], schema=types, null_values=declared["null_values"]
    )


def digits() -> pl.DataFrame:
    """scikit-learn's own copy of the digits: a column a pixel, row by row, and the label."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = {f"p{i // 8}_{i % 8}": bunch.data[:, i].astype("uint8") for i in range(64)}
    return pl.DataFrame(pixels | {"digit": bunch.target.astype("uint8")})


def shakespeare() -> pl.DataFrame:
    """The lines of the text, numbered from 1."""
    lines = (ROOT / "tinyshakespeare.txt").read_text().removesuffix("\n").split("\n")
    return pl.DataFrame({"line": pl.Series(range(1, len(lines) + 1), dtype=pl.Int32), "text": lines})


def elec() -> pl.DataFrame:
    """The half hours of the file, numbered from 0; `class` as UP (1) and DOWN (0), as it was published."""
    frame = pl.read_csv(ROOT / "elec.csv")
    row = pl.Series("row", range(frame.height), dtype=pl.Int32)
    label = pl.when(pl.col("class") == 1).then(pl.lit("UP")).otherwise(pl.lit("DOWN"))
    return frame.with_columns(label.alias("class")).insert_column(0, row)


def write(name: str, folder: Path) -> Path:
    """Write one bundled Parquet file: one row group, no time in the bytes. Text is smallest under brotli."""
    path = folder / f"{name}.parquet"
    if name == "tinyshakespeare":
        frame, how = shakespeare(), {"compression": "brotli", "compression_level": 11, "data_page_size": 1 << 24}
    else:
        frame = digits() if name == "digits" else elec() if name == "elec" else raw_frame(name)
        how = {"compression": "zstd", "compression_level": 19}
    frame.write_parquet(path, **how, row_group_size=1 << 20)
    return path


if __name__ == "__main__":
    for name in (*RAW, "digits", "tinyshakespeare", "elec"):
        made = write(name, BUNDLED)
        print(f"{made.name}: {made.stat().st_size:,} bytes")
