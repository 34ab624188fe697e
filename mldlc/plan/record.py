"""The action record: the proof that a key was executed, and what came out. Written after its outputs, atomically."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FORMAT = "mldlc.record/1"


@dataclass(frozen=True)
class Output:
    """An artifact in the store: the digest of its tree object (canonical JSON of its files), and its size in bytes."""

    digest: str
    type: str
    size: int = 0
    files: int = 0


@dataclass(frozen=True)
class Record:
    """What one execution of a key gave. Times, host and peaks live here, never in the artifact's bytes.

    inputs: port -> {label: digest}. tokens: source uri -> token. seconds: wall. cpu: CPU seconds. memory: peak RSS in
    bytes. summary: small JSON that views show without opening objects (metrics, row counts).
    """

    key: str
    recipe: str
    kind: str
    stage: str
    outputs: dict[str, Output]
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    identity: str = ""
    code: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    run: str = ""
    plan: str = ""
    started: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    host: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    format: str = FORMAT
