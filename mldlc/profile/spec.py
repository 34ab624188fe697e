"""The steps of this room: profile a table, and check it against expectations."""

from __future__ import annotations

from mldlc.plan.artifact import Expectations, Profile, Split, Table
from mldlc.plan.spec import Resources, StepSpec, optional, port
from mldlc.profile.config import ProfileConfig
from mldlc.profile.expect_config import ExpectConfig

PROFILE = StepSpec(
    kind="profile.profile",
    version=1,
    impl="mldlc.profile.profile:run",
    inputs={"table": port(Table), "split": optional(Split)},
    outputs={"profile": Profile},
    reads={"profile": ProfileConfig},
    needs=Resources(cpu=1, preload=("polars", "whylogs")),
    packages=("whylogs", "polars"),
    doc="Counts, moments, quantiles, heavy values and histograms of every column, readable by whylogs.",
)

EXPECT = StepSpec(
    kind="profile.expect",
    version=1,
    impl="mldlc.profile.expect:run",
    inputs={"table": port(Table), "reference": optional(Profile)},
    outputs={"report": Expectations, "table": Table, "quarantine": Table},
    reads={"expect": ExpectConfig},
    needs=Resources(cpu=1, preload=("polars",)),
    packages=("polars", "whylogs"),
    doc="Checks a table against rules; bad rows are reported, set aside or fail the run.",
)
