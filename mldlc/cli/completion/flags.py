"""The flags of every verb, read from its parser once and kept for as long as mldlc itself does not change."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mldlc.compiler.files import read_json, write_json
from mldlc.compiler.stamps import own_stamp


def flags_of(outputs: Path, keep: bool) -> dict[str, dict[str, Any]]:
    """Verb ("plan", "data put") -> flag -> {takes: what its value is (metavar), choices, help}. The flag "" stands for
    the choices of the first argument."""
    file = outputs / "cache" / "completion" / "flags.json"
    known = read_json(file)
    if known.get("stamp") == own_stamp():
        found: dict[str, dict[str, Any]] = known["verbs"]
        return found
    verbs = dict(_read())
    if keep:
        write_json(file, {"stamp": own_stamp(), "verbs": verbs})
    return verbs


def _read() -> Iterator[tuple[str, dict[str, Any]]]:
    import argparse

    from mldlc.cli.data import VERBS as DATA
    from mldlc.cli.main import VERBS

    modules = {verb: f"mldlc.cli.{verb}" for verb in VERBS if verb != "data"}
    modules |= {f"data {verb}": f"mldlc.cli.data.{verb}" for verb in DATA}
    for verb, module in modules.items():
        parser = argparse.ArgumentParser()
        importlib.import_module(module).arguments(parser)
        rows: dict[str, Any] = {}
        for action in parser._actions:
            row = {
                "takes": "" if action.nargs == 0 else str(action.metavar or action.dest),
                "choices": list(map(str, action.choices or ())),
                "help": (action.help or "").replace("%%", "%"),
            }
            for flag in action.option_strings or ([""] if action.choices else []):
                rows[flag] = row
        yield verb, rows
