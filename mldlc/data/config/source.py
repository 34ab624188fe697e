"""Config of `source`: where the raw rows come from, with their declared schema and column roles."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mldlc.config.schema import Config, location, result, runtime
from mldlc.plan.codec import canonical
from mldlc.plan.source import Identity, SourceRef, fixed_folder

Role = Literal["feature", "label", "row_id", "entity", "event_time", "created_time", "weight", "group", "ignore"]
Dtype = Literal[
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64", "string", "boolean", "date", "datetime",
]  # fmt: skip
Roles = dict[str, Role]
BUNDLED = Path(__file__).resolve().parent.parent / "bundled"
BUNDLED_VERSION = "1"
VERSIONED = ("store://", "lakefs://")  # store://<ref>/<path>, lakefs://<repository>@<ref>/<path>


class CsvColumn(Config):
    """A declared column of a CSV file. null_values: markers of this column only. format: strptime of a date or time."""

    dtype: Dtype
    role: Role = "feature"
    null_values: list[str] = result([])
    format: str | None = result(None)


class CsvSource(Config):
    """Delimited text. `path` may be a glob: each file is a partition, in sorted order.

    separator: one character, with spaces around it when the fields are padded (", "). columns: declared in file order;
    null takes names from the file and types from its first 10,000 rows. roles: name -> role, over those in `columns`.
    extra: what to do with a column of the file that is not declared. on_mixed: what to do with a column without a
    declared type in which 99 of 100 values are numbers or dates and others are not, or at least half are and all others
    are one text: stop and name the first of them, read it as text with a warning, or read it as text.
    """

    kind: Literal["csv"]
    path: str = location()
    separator: str = result(",")
    has_header: bool = result(True)
    columns: dict[str, CsvColumn] | None = result(None)
    roles: Roles = result({})
    null_values: list[str] = result([])
    extra: Literal["error", "drop"] = result("error")
    on_mixed: Literal["error", "warn", "text"] = runtime("error")
    encoding: str = result("utf-8")
    quote: str | None = result('"', min_length=1, max_length=1)
    comment: str | None = result(None)
    identity: Identity = runtime("content")
    version: str = runtime("")

    @field_validator("separator")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if len(value.strip(" ") or value) != 1 or not value.isascii():
            raise ValueError("the separator must be one ASCII character, which spaces may surround")
        return value


class ParquetSource(Config):
    """Parquet files. columns: the ones to read, in this order; null reads all. roles: name -> role."""

    kind: Literal["parquet"]
    path: str = location()
    columns: list[str] | None = result(None)
    roles: Roles = result({})
    identity: Identity = runtime("content")
    version: str = runtime("")


class BundledSource(Config):
    """A real data set that is shipped in the package, so that a first run works offline."""

    kind: Literal["bundled"]
    name: Literal["adult", "housing", "digits", "tinyshakespeare", "elec"]
    roles: Roles = result({})


class PythonSource(Config):
    """A function of the project that gives a Polars DataFrame or LazyFrame; `args` are its keyword arguments.

    files: what it reads, as paths or globs: it is called again when their content changes, and gets the files as the
    argument `files`, a list of absolute paths, if it has one. identity: `version` calls it again when `version`,
    `args`, `files` or the code changes; `always` on every run.
    """

    kind: Literal["python"]
    target: str
    args: dict[str, Any] = result({})
    files: list[str] = location([])
    roles: Roles = result({})
    identity: Literal["version", "always"] = runtime("version")
    version: str = runtime("")

    @model_validator(mode="after")
    def _one_identity(self) -> PythonSource:
        if self.files and self.version:
            raise ValueError("give `files`, whose content is the version, or `version`, not both")
        return self


Source = Annotated[CsvSource | ParquetSource | BundledSource | PythonSource, Field(discriminator="kind")]


def source_refs(cfg: Any) -> tuple[SourceRef, ...]:
    """What `collect` reads. Globs are expanded in sorted order; a path that matches nothing is named as it stands."""
    source = cfg.source
    match source:
        case BundledSource():
            path = BUNDLED / f"{source.name}.parquet"
            return (SourceRef(f"bundled:{source.name}", source.name, (str(path),), "version", BUNDLED_VERSION),)
        case PythonSource():
            args = canonical(source.args).decode() if source.args else ""
            uri = f"python:{source.target}" + (f"?{args}" if args else "")
            if not source.files or source.identity == "always":
                return (SourceRef(uri, source.target, (), source.identity, source.version),)
            paths = tuple(str(file) for pattern in source.files for file in files_of(pattern) or [pattern])
            uri += "#" + ",".join(source.files)
            patterns = tuple(source.files)
            return (SourceRef(uri, source.target, paths, "content", patterns=patterns, root=fixed_folder(patterns)),)
    if source.path.startswith(VERSIONED):
        return (SourceRef(source.path, source.path, (), "version"),)
    path = Path(source.path)
    files = tuple(str(file) for file in files_of(source.path) or [path])
    root = fixed_folder((source.path,)) if files != (str(path),) else ""
    return (SourceRef(f"file:{path}", path.name, files, source.identity, source.version, (source.path,), root),)


def files_of(pattern: str) -> list[Path]:
    """The files that a path or a glob names, sorted; a plain path wins over its reading as a pattern."""
    if Path(pattern).is_file():
        return [Path(pattern)]
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    return [Path(name) for name in found if Path(name).is_file()]
