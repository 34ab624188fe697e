"""What can be wrong with a config that composes: missing values, bad interpolations, `_target_`, a changed kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mldlc.config.interpolate import Path, Resolution, dotted, references
from mldlc.config.marks import find
from mldlc.config.provenance import COMMAND_LINE, Provenance
from mldlc.plan.diagnostic import Diagnostic, did_you_mean

if TYPE_CHECKING:
    from mldlc.config.seam import Composer

_NOT_ARGS = ("_target_", "_recursive_", "_convert_", "_partial_", "_args_")
_CHOOSES = {
    "launcher": "choose where steps run with executor=local",
    "sweeper": "choose a search with sweep=, or sweep with -m",
}


_FOLDERS = r"[+~]*hydra(?:\.run\.dir|\.sweep\.(?:dir|subdir)|\.output_subdir|\.job\.chdir)="


def refuse(lines: Sequence[str]) -> list[Diagnostic]:
    """Overrides of Hydra's own launcher, sweeper and folders, which would do nothing here."""
    found = []
    for line in lines:
        if re.match(_FOLDERS, line):
            message, hint = (
                f"'{line}' has no effect: runs have folders of their own",
                "choose where with paths.outputs=",
            )
            found.append(
                Diagnostic("hydra_folder", message, where=COMMAND_LINE, key=line.split("=")[0], found=line, hint=hint)
            )
        match = re.match(r"[+~]*hydra[/.](launcher|sweeper)(?![\w])(?!\.params)", line)
        if match is not None:
            message = f"'{line}' has no effect: mldlc runs and sweeps by itself"
            hint = _CHOOSES[match[1]]
            found.append(
                Diagnostic("hydra_plugin", message, where=COMMAND_LINE, key=line.split("=")[0], found=line, hint=hint)
            )
    return found


def check_resolved(resolution: Resolution, provenance: Provenance) -> list[Diagnostic]:
    """Missing values, interpolations that fail, and `_target_`, each with its line."""
    found = [*_missing(resolution, provenance), *_failures(resolution, provenance)]
    for path, node in _targets(resolution.raw, ()):
        key = dotted((*path, "_target_"))
        message = f"'{key}' is not followed: a config is data and names code by 'target'"
        where = provenance.locate(key)
        found.append(
            Diagnostic(
                "hydra_target", message, where=where, key=key, found=str(node["_target_"]), hint=_translated(node)
            )
        )
    return found


def check_kinds(composer: Composer, lines: Sequence[str], provenance: Provenance) -> list[Diagnostic]:
    """`model.kind=cnn` where an option `cnn` of the group exists: the keys of the old option would stay."""
    found = []
    for line in lines:
        match = re.fullmatch(r"(\w+)\.kind=(\w+)", line)
        if match is None or match[2] not in composer.options(match[1]):
            continue
        before = [writer.value for writer in provenance.writers(f"{match[1]}.kind") if writer.source == "file"]
        option = composer.text_of(f"{match[1]}/{match[2]}")
        kind = find(_parse(option[1]), ("kind",)) if option else None
        if before and before[-1] != match[2] and kind is not None and kind[0].value == match[2]:
            message = f"'{line}' changes the kind but keeps the other keys of '{before[-1]}'"
            hint = f"to choose the option: {match[1]}={match[2]}"
            key = f"{match[1]}.kind"
            found.append(Diagnostic("kind_override", message, where=COMMAND_LINE, key=key, found=match[2], hint=hint))
    return found


def _parse(text: str) -> Any:
    from mldlc.config.marks import parse

    return parse(text)


def _missing(resolution: Resolution, provenance: Provenance) -> Iterator[Diagnostic]:
    for path in resolution.missing:
        key = dotted(path)
        message = f"'{key}' has no value yet (???)"
        hint = f"give it one: {key}=..."
        yield Diagnostic("missing_value", message, where=provenance.locate(key), key=key, found="???", hint=hint)


def _failures(resolution: Resolution, provenance: Provenance) -> Iterator[Diagnostic]:
    every = provenance.keys()
    explained = _explained(resolution)
    for path, error in resolution.failures.items():
        if path in explained:
            continue
        key, text = dotted(path), resolution.texts[path]
        problem, hint = _reason(str(error), references(text, path), every, resolution)
        message = f"'{key}': {text} {problem}"
        yield Diagnostic("bad_interpolation", message, where=provenance.locate(key), key=key, found=text, hint=hint)


def _explained(resolution: Resolution) -> set[Path]:
    """Failures whose cause is told: a missing value, or a failure with none of its own. Those of a circle are not."""
    causes = {
        path: {
            cause
            for cause in (*resolution.missing, *resolution.failures)
            if any(_within(tuple(name.split(".")), cause, path) for name in references(resolution.texts[path], path))
        }
        for path in resolution.failures
    }
    told = {*resolution.missing, *(path for path, found in causes.items() if not found)}
    explained: set[Path] = set()
    while more := {path for path, found in causes.items() if found & (told | explained)} - explained:
        explained |= more
    return explained


def _reason(text: str, named: Sequence[str], every: Sequence[str], resolution: Resolution) -> tuple[str, str]:
    for name in named:
        if not _exists(resolution.config, name.split(".")):
            return f"names no key ('{name}')", did_you_mean(name, every)
    variable = re.search(r"Environment variable '([^']+)' not found", text)
    if variable is not None:
        default = f"set it, or give a default: ${{oc.env:{variable[1]},default}}"
        return f"needs the environment variable {variable[1]}, which is not set", default
    resolver = re.search(r"Unsupported interpolation type (\S+)", text)
    if resolver is not None:
        known = ("oc.env", "oc.select", "oc.decode", "oc.create", "oc.dict.keys", "oc.dict.values", "now")
        return f"names no resolver ('{resolver[1]}')", did_you_mean(
            resolver[1], known
        ) or f"there are: {', '.join(known)}"
    if "ecursive" in text or "ecursion" in text or "parent node" in text:
        return "refers to itself", ""
    return f"cannot be resolved: {text.splitlines()[0]}", ""


def _exists(node: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return False
    return True


def _within(name: Path, cause: Path, own: Path) -> bool:
    """Whether what `own` names has the cause in it, or lies in it."""
    return cause != own and (name[: len(cause)] == cause or cause[: len(name)] == name)


def _targets(node: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _targets(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, (*path, index))


def _translated(node: dict[str, Any]) -> str:
    """The `target:` and `args:` that say the same as a node with `_target_`."""
    module, _, name = str(node["_target_"]).rpartition(".")
    args = {str(key): value for key, value in node.items() if key not in _NOT_ARGS and key != "kind"}
    inner = ", ".join(f"{key}: {json.dumps(value, default=str)}" for key, value in args.items())
    return f"write 'target: {module}:{name}'" + (f" with 'args: {{{inner}}}'" if inner else "") + " instead"
