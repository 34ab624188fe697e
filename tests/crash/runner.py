"""One run of the crash plan in a process of its own: `python -m tests.crash.runner ROOT OUTPUTS LOG`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mldlc.plan.plan import Plan
from tests.engine.plans import Builder, Watch


def crash_plan(root: Path, log: str, value: int = 1) -> Plan:
    """Diamonds of light steps of about 20 ms with several outputs, inline steps between them."""
    built = Builder(root)
    built.add("s", "SOURCE", value=value, seconds=0.02, log=log)
    built.add("left", "ADD", {"values": ["s.value"]}, value=1, seconds=0.02, log=log)
    built.add("right", "ADD", {"values": ["s.double"]}, value=2, seconds=0.02, log=log)
    built.add("other", "SOURCE", value=value + 5, seconds=0.02, log=log)
    built.add("join", "ADD", {"values": ["left.value", "right.value", "other.value"]}, value=0, seconds=0.02, log=log)
    for number in range(3):
        built.add(f"i{number}", "noop", {"after": ["join.value"]}, value=f"{value} {number}")
    built.add("even", "PARITY", {"value": "join.value"}, seconds=0.02, log=log)
    built.add("end", "ADD", {"values": ["even.value", "join.value"]}, value=3, seconds=0.02, log=log)
    return built.plan()


def outcome(root: Path, outputs: Path, log: str) -> dict[str, Any]:
    """What one run ends with."""
    result = Watch(outputs).run(crash_plan(root, log))
    return {"status": result.status, "digests": {id: step.digests for id, step in result.steps.items()}}


def main() -> None:
    print(json.dumps(outcome(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])))


if __name__ == "__main__":
    main()
