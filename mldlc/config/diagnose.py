"""What is wrong with a config that does not compose, as many mistakes at once as can be found.

Hydra stops at its first failure. Here each failure is told, mended as far as one can guess, and composition goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mldlc.config import marks
from mldlc.config.blame import blame_value, choice_errors
from mldlc.config.checks import check_resolved
from mldlc.config.interpolate import resolve
from mldlc.config.provenance import COMMAND_LINE, Provenance
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, did_you_mean

if TYPE_CHECKING:
    from mldlc.config.seam import Composer

_PLACES = ("bad_git_source", "unknown_revision", "missing_folder")


def diagnose(composer: Composer, lines: Sequence[str], error: Exception) -> list[Diagnostic]:
    """Everything that is wrong with a composition that failed with `error`. The lines must parse."""
    if isinstance(error, DiagnosticError) and any(d.code in _PLACES and d.where is None for d in error.diagnostics):
        return [_placed(composer, lines, d) for d in error.diagnostics]
    found: list[Diagnostic] = []
    with composer.leniently() as broken:
        good, wrong = choice_errors(composer, lines)
        found += wrong
        complete = _defaults(composer, good, found)
        if complete:
            found += _values(composer, good)
        found = [*broken, *found]
    return found or _hydras_own(lines, error) or [generic(composer, error)]


def _hydras_own(lines: Sequence[str], error: Exception) -> list[Diagnostic]:
    """Overrides of Hydra's own node, when nothing else explains a failure."""
    found = []
    for line in lines:
        key = line.split("=")[0].lstrip("+~")
        if key.startswith("hydra.") and not key.startswith("hydra.searchpath"):
            of_sweep = key.startswith("hydra.sweeper.params")
            message = (
                f"'{line}' cannot be applied: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            )
            hint = "write the sweep itself: -m key=a,b; hydra.sweeper.params belongs in a file" if of_sweep else ""
            found.append(Diagnostic("hydra_key", message, where=COMMAND_LINE, key=key, found=line, hint=hint))
    return found


def _placed(composer: Composer, lines: Sequence[str], problem: Diagnostic) -> Diagnostic:
    """The mistake of a search path entry, at the place that names it."""
    where: Location | None = COMMAND_LINE
    if not any(line.startswith("hydra.searchpath") for line in lines):
        primary = composer.text_of(composer.config_name)
        hit = marks.find(marks.parse(primary[1]), ("hydra", "searchpath")) if primary else None
        where = Location(primary[0], hit[1]) if primary and hit else None
    return Diagnostic(**{**problem.__dict__, "where": where})


def _defaults(composer: Composer, good: list[str], found: list[Diagnostic]) -> bool:
    """Compose the defaults list, mending and telling each mistake; False when one could not be mended."""
    from mldlc.config import seam

    for _ in range(100):
        try:
            composer.outline(good)
            return True
        except (DiagnosticError, *seam.Failure) as error:
            path: str | None = getattr(error, "missing_cfg_file", None)
            if path is not None and path not in composer.session.absent and path != composer.config_name:
                found.append(_unknown_option(composer, good, path, str(error)))
                composer.session.absent.add(path)
                continue
            if path is not None and path == composer.config_name:
                found.append(_unknown_config(composer, path))
                return False
            problem, line = _misplaced(composer, good, str(error))
            found.append(problem or generic(composer, error))
            if line is None:
                return False
            good.remove(line)
    return False


def _unknown_config(composer: Composer, name: str) -> Diagnostic:
    names = [option for option in composer.options("") if not option.startswith("_")]  # Hydra's own placeholder
    hint = did_you_mean(name, names) or f"there are: {', '.join(names)}"
    message = f"no config '{name}' on the config search path"
    return Diagnostic("unknown_config", message, where=COMMAND_LINE, found=name, allowed=tuple(names), hint=hint)


def _unknown_option(composer: Composer, lines: Sequence[str], path: str, text: str) -> Diagnostic:
    """A config that the defaults list asks for and nobody has, at the place that asks."""
    group, _, option = path.rpartition("/")
    options = composer.options(group) if group else []
    where, asked = _asker(composer, lines, group, option, text)
    listed = f"options: {', '.join(options)}" if options else "there is no such group"
    message = f"no option '{option}' in group '{group}'" if group else f"no config '{option}'"
    near = did_you_mean(option, options)
    hint = f"{near} ({listed}; asked for by {asked})" if near else f"{listed} (asked for by {asked})"
    return Diagnostic(
        "unknown_option", message, where=where, key=group, found=option, allowed=tuple(options), hint=hint
    )


def _asker(composer: Composer, lines: Sequence[str], group: str, option: str, text: str) -> tuple[Location | None, str]:
    for line in lines:
        if not composer.is_value(line):
            override = composer.parse(line)
            value = override.value()
            names = value if isinstance(value, list) else [value]  # with folders in them: optimizer=sub/x, ../x
            if f"{group}/{option}" in [f"{override.key_or_group}/{name}" for name in names]:
                return COMMAND_LINE, f"'{line}'"
    parent = re.match(r"In '([^']+)'", text)
    paths = [*composer.session.seen, *([parent[1]] if parent else [])]
    for path in reversed(paths):
        source = composer.text_of(path)
        for entry in marks.defaults_of(source[1]) if source else []:
            asks = entry.group.strip("/")
            whole = f"{asks}/{option}" if asks else ""
            if option in entry.options and (
                group == asks or f"{path.rpartition('/')[0]}/{whole}" == f"{group}/{option}"
            ):
                assert source is not None
                return Location(source[0], entry.line), f"'{path}'"
            if not asks and any(name.strip("/") == f"{group}/{option}".strip("/") for name in entry.options):
                assert source is not None
                return Location(source[0], entry.line), f"'{path}'"
    source = composer.text_of(parent[1]) if parent else None
    return (Location(source[0]) if source else None), f"'{parent[1]}'" if parent else "the defaults list"


def _misplaced(composer: Composer, lines: Sequence[str], text: str) -> tuple[Diagnostic | None, str | None]:
    """A group choice that fits nowhere: (what is wrong, the override to leave out), None where not recognised."""
    twice = re.search(r"Multiple values for (\S+)\.|^(\S+) appears more than once", text)
    if twice is not None:
        key = twice[1] or twice[2]
        for line in lines:
            if line.startswith(f"+{key}="):
                hint = f"to change it: {line[1:]}"
                message = f"'{line}' adds a second '{key}': the defaults list has one already"
                return Diagnostic("duplicate", message, where=COMMAND_LINE, key=key, found=line, hint=hint), line
        where = _entry(composer, key)
        hint = f"write 'override /{key}: ...' to change the choice of another config"
        return Diagnostic("duplicate", f"group '{key}' is chosen twice", where=where, key=key, hint=hint), None
    unchosen = re.search(r"You must specify '([^']+)'", text)
    if unchosen is not None:
        key = unchosen[1]
        options = composer.options(key.split("@")[0])
        message, hint = f"group '{key}' has no option yet (???)", f"choose one: {key}={'|'.join(options)}"
        where, allowed = _entry(composer, key.split("@")[0]), tuple(options)
        return Diagnostic("missing_value", message, where=where, key=key, found="???", allowed=allowed, hint=hint), None
    unmatched = re.search(r"Could not (override|delete) '([^'=]+)[^']*'\.", text)
    if unmatched is None:
        return None, None
    key, mine = unmatched[2], re.match(r"In '([^']+)'", text)
    if mine is not None:
        source = composer.text_of(mine[1])
        entries = marks.defaults_of(source[1]) if source else []
        lines_of = [entry.line for entry in entries if entry.group.strip("/") == key.split("@")[0]]
        where = Location(source[0], lines_of[0] if lines_of else 0) if source else None
        message = f"'override {key}' matches nothing: the defaults list does not choose '{key}' before"
        return Diagnostic("unmatched_override", message, where=where, key=key, hint="drop the word 'override'"), None
    for line in lines:
        if composer.parse(line).get_key_element().lstrip("~") == key:
            message = f"'{line}': group '{key}' is not in the defaults list"
            hint = f"to add it: +{line}"
            if unmatched[1] == "delete":
                message, hint = f"'{line}' deletes nothing: the defaults list has no such choice", ""
            return Diagnostic("unmatched_override", message, where=COMMAND_LINE, key=key, found=line, hint=hint), line
    return None, None


def _entry(composer: Composer, group: str) -> Location | None:
    """The last config that names a group in its defaults list."""
    for path in reversed(composer.session.seen):
        source = composer.text_of(path)
        for entry in reversed(marks.defaults_of(source[1])) if source else []:
            if source is not None and entry.group.strip("/") == group:
                return Location(source[0], entry.line)
    return None


def _values(composer: Composer, lines: Sequence[str]) -> list[Diagnostic]:
    """Merge, then try the value overrides one by one, but for those that aim at a config which is broken anyway."""
    from mldlc.config import seam

    found = []
    try:
        cfg = composer.merged(lines)
    except (DiagnosticError, *seam.Failure) as error:
        return [generic(composer, error)]
    skipped = [
        path.rpartition("/")[0].replace("/", ".") for path in (*composer.session.skipped, *composer.session.absent)
    ]
    for line in lines:
        if not composer.is_value(line):
            continue
        override = composer.parse(line)
        if any(not group or f"{override.key_or_group}.".startswith(f"{group}.") for group in skipped):
            continue
        try:
            seam.apply(cfg, [override])
        except seam.Failure as error:
            found.append(blame_value(composer, line, seam.plain(cfg), str(error), error.__cause__))
    if skipped:
        return found
    resolution = resolve(cfg, None)
    for path in [path for path, text in resolution.texts.items() if "hydra" in text]:
        resolution.failures.pop(path, None)  # Hydra's own node is not complete here
    wrong = {problem.found for problem in found}
    provenance = Provenance(composer, tuple(line for line in lines if line not in wrong), resolution)
    return found + check_resolved(resolution, provenance)


def generic(composer: Composer, error: Exception) -> Diagnostic:
    """Hydra's own words, at the file that they name."""
    text = "; ".join(
        part.strip() for part in [*str(error).splitlines(), *str(error.__cause__ or "").splitlines()] if part.strip()
    )
    match = re.match(r"In '?([\w/.\-]+?)'?: (.*)", text)
    source = composer.text_of(match[1]) if match else None
    if match and source:
        hit = marks.find(marks.parse(source[1]), ("defaults",))
        line = hit[1] if hit and ("efault" in text or "verride" in text) else 0
        return Diagnostic("composition", match[2], where=Location(source[0], line))
    return Diagnostic("composition", text or type(error).__name__)
