"""Keeps the measurements: one section a benchmark in RESULTS.md, with the machine, the date and what was run."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from pathlib import Path

FILE = Path(__file__).with_name("RESULTS.md")
HEAD = """# Results

Written by `python -m tests.bench`. Every row stands beside its peer or floor of the same run; read ratios before absolutes.
"""
PACKAGES = ("torch", "lightning", "polars", "hydra-core", "whylogs")


def table(names: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def verdict(value: float, bound: float) -> str:
    """`holds` or `missed` for a value that must not exceed its bound."""
    return "holds" if value <= bound else "missed"


def today() -> str:
    """The date, as it stands beside what was measured."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def kept(title: str, names: list[str]) -> dict[str, list[str]]:
    """Rows of a kept section's table by their first cell; none where its columns have other names now."""
    section = _section(title).search(FILE.read_text()) if FILE.exists() else None
    lines = [line for line in (section[0] if section else "").splitlines() if line.startswith("| ")]
    head, *rows = [line[2:-2].split(" | ") for line in lines] or [[]]
    return {row[0]: row for row in rows[1:]} if head == names else {}


def keep(title: str, body: str, *, write: bool = True) -> None:
    """Print a section and, if it is to be kept, put it into RESULTS.md in place of the older one of that title."""
    cpus = len(os.sched_getaffinity(0))
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    load = os.getloadavg()[0]
    stamp = f"{today()}, {cpus} CPUs ({platform.machine()}), load {load:.1f}, Python {platform.python_version()}, {versions}."
    section = f"## {title}\n\n{stamp}\n\n{body}\n"
    print(section, flush=True)
    if not write:
        return
    text = FILE.read_text() if FILE.exists() else HEAD
    old = _section(title)
    text = old.sub(lambda _: section + "\n", text) if old.search(text) else f"{text.rstrip()}\n\n{section}"
    FILE.write_text(text.rstrip() + "\n")


def _section(title: str) -> re.Pattern[str]:
    return re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.S | re.M)
