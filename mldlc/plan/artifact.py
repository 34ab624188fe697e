"""The kinds of artifact that steps exchange, as light names: the compiler checks ports with them.

An artifact is a directory tree in the store. Its canonical codec lives in `mldlc.artifacts`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArtifactType:
    """A named kind of artifact; `parent` makes `Table` fit a port that asks for `Dataset`."""

    name: str
    parent: ArtifactType | None = None

    def fits(self, wanted: ArtifactType) -> bool:
        """Whether an artifact of this type may be bound to a port of type `wanted`."""
        kind: ArtifactType | None = self
        while kind is not None:
            if kind.name == wanted.name:
                return True
            kind = kind.parent
        return False

    def __str__(self) -> str:
        return self.name


Any = ArtifactType("Any")
Dataset = ArtifactType("Dataset", Any)
Table = ArtifactType("Table", Dataset)
Tokens = ArtifactType("Tokens", Dataset)
Images = ArtifactType("Images", Dataset)
Profile = ArtifactType("Profile", Any)
Expectations = ArtifactType("Expectations", Any)
Split = ArtifactType("Split", Any)
Preprocessor = ArtifactType("Preprocessor", Any)
Model = ArtifactType("Model", Any)
Lessons = ArtifactType("Lessons", Any)
Metrics = ArtifactType("Metrics", Any)
Report = ArtifactType("Report", Any)
Decision = ArtifactType("Decision", Any)
Bundle = ArtifactType("Bundle", Any)
Deployment = ArtifactType("Deployment", Any)
# The closed loop's artifacts: production writes them, the next plan reads them.
State = ArtifactType("State", Any)
PredictionLog = ArtifactType("PredictionLog", Any)
Labels = ArtifactType("Labels", Any)
Alarm = ArtifactType("Alarm", Any)

# Parts of a split that are taken out of the train rows: what `split.learn` leaves out, and rows of doubted labels.
UNUSED, DOUBTFUL = "unused", "doubtful"
BEFORE = ("train", "val", UNUSED, DOUBTFUL)  # parts that are no stream of new rows

TYPES: dict[str, ArtifactType] = {
    kind.name: kind
    for kind in (
        Any, Dataset, Table, Tokens, Images, Profile, Expectations, Split, Preprocessor, Model, Lessons, Metrics,
        Report, Decision, Bundle, Deployment, State, PredictionLog, Labels, Alarm,
    )
}  # fmt: skip
