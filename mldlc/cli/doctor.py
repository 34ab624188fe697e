"""Check this installation and project: versions, extras, machine, store, plugins. Exit 1 when something is broken."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from pathlib import Path

from mldlc.cli.frame import emit, outputs_argument, outputs_of
from mldlc.cli.views.style import coloured, paint, size
from mldlc.plan.diagnostic import DiagnosticError

FOR_DEVELOPERS = ("all", "test", "dev")  # extras that are no feature

UNKEPT = (
    "not kept (PYTHONDONTWRITEBYTECODE): each process compiles what was not compiled when it was installed; "
    "`python -m compileall` on the environment makes plans and trainings start in half the time"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc doctor`."""
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")
    outputs_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print one line a check."""
    rows = [*_packages(), *_machine(args), *_project(), *_plugins()]
    for level, name, text in rows:
        if args.json:
            emit({"type": "check", "level": level, "name": name, "text": text})
        else:
            colour = {"ok": "green", "note": "dim", "broken": "red"}[level]
            print(paint(f"{level:<7}", colour, coloured()) + f"{name:<16}{text}")
    broken = sum(1 for level, _, _ in rows if level == "broken")
    if args.json:
        emit({"format": "mldlc.doctor/1", "status": "failed" if broken else "ok", "broken": broken})
    return 1 if broken else 0


def _packages() -> list[tuple[str, str, str]]:
    rows = [("ok" if (3, 11) <= sys.version_info < (3, 14) else "broken", "python", platform.python_version())]
    for name, extra in _required().items():
        try:
            rows.append(("ok", name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            missing = f"not installed (pip install 'mldlc[{extra}]')" if extra else "not installed"
            rows.append(("note" if extra else "broken", name, missing))
    return rows


def _required() -> dict[str, str]:
    """Package -> the extra that brings it, "" where mldlc always needs it; as the installed mldlc says."""
    found: dict[str, str] = {}
    for line in importlib.metadata.requires("mldlc") or ():
        name, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip(" '\"")
        if extra not in FOR_DEVELOPERS:
            found.setdefault(re.split(r"[<>=!~ ]", name)[0], extra)
    return found


def _machine(args: argparse.Namespace) -> list[tuple[str, str, str]]:
    outputs = outputs_of(args)
    place = next(path for path in (outputs, *outputs.parents) if path.exists())
    writable = os.access(place, os.W_OK)
    free = shutil.disk_usage(place).free
    return [
        ("ok", "cpus", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())),
        ("ok" if writable else "broken", "outputs", f"{outputs}{'' if writable else ' (not writable)'}"),
        ("ok" if free > 10**9 else "note", "disk", f"{size(free)} free"),
        ("note" if sys.dont_write_bytecode else "ok", "bytecode", UNKEPT if sys.dont_write_bytecode else "kept"),
    ]


def _project() -> list[tuple[str, str, str]]:
    from mldlc.config.project import find_project

    try:
        project = find_project(Path.cwd())
    except DiagnosticError as error:
        return [("broken", "project", str(item)) for item in error.diagnostics]
    manifest = str(project.manifest) if project.manifest else "no mldlc.yaml upward: the shipped configs only"
    return [
        ("ok", "project", f"{project.name} at {project.root}"),
        ("ok" if project.manifest else "note", "manifest", manifest),
        ("ok", "config", " > ".join(project.conf)),
        ("ok", "code", ", ".join(str(path) for path in project.code) or "no code roots"),
    ]


def _plugins() -> list[tuple[str, str, str]]:
    rows = []
    for group in ("mldlc.steps", "mldlc.conf"):
        for entry in importlib.metadata.entry_points(group=group):
            try:
                if group == "mldlc.steps":
                    entry.load()
                rows.append(("ok", entry.name, f"{group}: {entry.value}"))
            except Exception as error:  # a broken plugin is told, never fatal
                rows.append(("broken", entry.name, f"{group}: {entry.value}: {type(error).__name__}: {error}"))
    return rows
