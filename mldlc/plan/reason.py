"""Why a step has its action, as data. The set of codes is closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Code = Literal[
    "first_run", "param_changed", "code_changed", "version_changed", "input_changed", "source_changed", "upstream_runs",
    "artifact_missing", "forced", "env_changed", "observed_differs", "unhashed", "always", "awaits_decision", "rewired",
]  # fmt: skip


@dataclass(frozen=True)
class Reason:
    """One cause. Which fields are set depends on the code.

    param_changed: path, old, new, where (file:line). code_changed: files. input_changed, upstream_runs: stage.
    env_changed: path (the package), old, new. artifact_missing: path (the output port).
    """

    code: Code
    path: str = ""
    old: Any = None
    new: Any = None
    where: str = ""
    files: tuple[str, ...] = ()
    stage: str = ""

    def text(self) -> str:
        """One line for a person."""
        at = f"  ({self.where})" if self.where else ""
        match self.code:
            case "param_changed":
                return f"{self.path}: {_short(self.old)} -> {_short(self.new)}{at}"
            case "env_changed":
                return f"package {self.path}: {self.old} -> {self.new}"
            case "code_changed":
                return "code: " + ", ".join(self.files)
            case "version_changed":
                return f"step version: {self.old} -> {self.new}"
            case "input_changed":
                return f"input {self.path} changed" + (f" (from {self.stage})" if self.stage else "")
            case "source_changed":
                return f"source {self.path} changed"
            case "upstream_runs":
                return f"waits for {self.stage}"
            case "artifact_missing":
                return f"output {self.path} is no longer in the store"
            case "observed_differs":
                return f"in place: {_short(self.old)}, wanted: {_short(self.new)}"
            case "awaits_decision":
                return self.path
            case "unhashed":
                return f"source {self.path} is not hashed yet"
            case "rewired":
                return f"input {self.path}: {_short(self.old)} -> {_short(self.new)}"
        return {"first_run": "never ran", "forced": "forced", "always": "runs every time"}[self.code]


def _short(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
