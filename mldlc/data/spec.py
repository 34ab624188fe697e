"""The steps of the data room: collect, clean, split, select, prepare."""

from __future__ import annotations

from mldlc.data.config.clean import Clean
from mldlc.data.config.prepare import Prepare
from mldlc.data.config.select import Select
from mldlc.data.config.source import Source, source_refs
from mldlc.data.config.split import Split as SplitConfig
from mldlc.data.config.tokenize import Tokenize
from mldlc.plan.artifact import Decision, Preprocessor, Split, Table, Tokens
from mldlc.plan.spec import Resources, StepSpec, optional, port

_LIGHT = Resources(cpu=1, process="light", preload=("numpy", "polars"))

COLLECT = StepSpec(
    kind="data.collect",
    version=1,
    outputs={"table": Table},
    reads={"source": Source},
    sources=source_refs,
    items="mldlc.data.partitions:collected",
    check="mldlc.data.plan_check:check",
    needs=_LIGHT,
    packages=("polars",),
    impl="mldlc.data.collect:run",
    doc="Read the source into a table with the declared types and column roles.",
)

CLEAN = StepSpec(
    kind="data.clean",
    version=1,
    inputs={"table": port(Table)},
    outputs={"table": Table},
    reads={"clean": Clean},
    needs=_LIGHT,
    packages=("polars",),
    impl="mldlc.data.clean:run",
    doc="Clean row by row: strip, null markers, casts, bounds, dropped rows and columns.",
)

SPLIT = StepSpec(
    kind="data.split",
    version=1,
    inputs={"table": port(Table)},
    outputs={"split": Split},
    reads={"split": SplitConfig},
    needs=_LIGHT,
    packages=("polars", "numpy"),
    impl="mldlc.data.split:run",
    doc="Deal the rows to parts so that nothing leaks between them.",
)

SELECT = StepSpec(
    kind="data.select",
    version=1,
    inputs={"table": port(Table), "split": port(Split)},
    outputs={"selection": Decision},
    reads={"select": Select},
    needs=_LIGHT,
    packages=("polars", "numpy"),
    impl="mldlc.data.select:run",
    doc="Choose the feature columns on the train part.",
)

PREPARE = StepSpec(
    kind="data.prepare",
    version=1,
    inputs={"table": port(Table), "split": port(Split), "selection": optional(Decision)},
    outputs={"table": Table, "preprocessor": Preprocessor},
    reads={"prepare": Prepare},
    needs=_LIGHT,
    packages=("polars", "numpy"),
    impl="mldlc.data.prepare:run",
    doc="Fit the preprocessor on the train part and turn every row into tensors.",
)

TOKENIZE = StepSpec(
    kind="data.tokenize",
    version=1,
    inputs={"table": port(Table), "split": port(Split)},
    outputs={"tokens": Tokens, "tokenizer": Preprocessor},
    reads={"prepare": Tokenize},
    needs=_LIGHT,
    packages=("polars", "numpy", "tokenizers"),
    impl="mldlc.data.tokenize:run",
    doc="Fit a tokenizer on the train part and turn the text of every part into tokens.",
)
