"""From a project and a command line to resolved configs: one point for a run, all points for a sweep."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mldlc.config.checks import check_kinds, check_resolved, refuse
from mldlc.config.diagnose import diagnose
from mldlc.config.interpolate import Path as KeyPath
from mldlc.config.interpolate import Resolution, is_constant, is_repeatable, overlay, resolve
from mldlc.config.project import Project
from mldlc.config.provenance import COMMAND_LINE, Provenance
from mldlc.config.session import existing_folder
from mldlc.config.spanning import spanning, without
from mldlc.config.sweeping import Item, declared, expand, key_of, keys_of, lines_of, read_items, section_of
from mldlc.config.tree import Pin
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, fail

if TYPE_CHECKING:
    from mldlc.config.seam import Composer


@dataclass(frozen=True)
class Request:
    """What the command line asks for. config_dir: a folder searched before the project's own configs.

    points: the points of a sweep, each by its overrides (a round of a search); () to find them from the overrides.
    """

    config_name: str = "config"
    overrides: tuple[str, ...] = ()
    multirun: bool = False
    config_dir: str | None = None
    points: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class ComposedPoint:
    """One resolved config. `overrides`: what the sweep set at this point, () for a plain run.

    `config` is shared between the points of a sweep where they are equal: read it, do not change it. An untouched
    group is the same object (`is`) in every point.
    """

    id: int
    overrides: tuple[str, ...]
    config: dict[str, Any]
    provenance: Provenance = field(compare=False, repr=False)


@dataclass(frozen=True)
class Composition:
    """All points, and what the result depends on.

    files: each file read -> blake2b digest (a path that ends in "/" is a folder's listing; `tree.fingerprint` gives the
    present digest). missing: absolute paths that were probed and absent. inputs: environment variable -> value that an
    `oc.env` saw (None: it was not set). refs: git revision `rev@repository` -> commit, where the revision is no commit.
    cacheable: False when a value depends on more than these (`now`, `hydra:`, custom resolvers, a shuffled sweep,
    configs from a source that is neither a folder nor git).
    pins: every git revision that was read. links: folder -> where it leads. space: the
    overrides that span the space of a search, key -> parameter as plain data. parse: Hydra's parser of one override.
    """

    points: tuple[ComposedPoint, ...]
    files: dict[str, str]
    missing: tuple[str, ...]
    inputs: dict[str, str | None]
    cacheable: bool
    refs: dict[str, str]
    pins: tuple[Pin, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    space: dict[str, dict[str, Any]] = field(default_factory=dict)
    parse: Callable[[str], Any] | None = field(default=None, compare=False, repr=False)


def compose(project: Project, request: Request) -> Composition:
    """Compose every point. Raises DiagnosticError with all the mistakes that can be found at once."""
    from mldlc.config import seam

    seam.env_reads.clear()
    ledger = project.seen.copy()
    config_dir = None if request.config_dir is None else existing_folder(request.config_dir)
    composer = seam.Composer(project, request.config_name, config_dir, ledger)
    sweep = _Sweep(composer, request)
    points = sweep.points()
    return Composition(
        points,
        dict(sorted(ledger.files.items())),
        tuple(sorted(ledger.missing - ledger.files.keys())),
        dict(sorted(seam.env_reads.items())),
        sweep.cacheable and not ledger.unkeyed,
        ledger.refs(),
        tuple(pin for _, pin in sorted(ledger.pins.items())),
        dict(sorted(ledger.links.items())),
        sweep.space,
        composer.parse,
    )


@dataclass
class _Base:
    """A full composition by Hydra that points lay values over. `shared`: values that no config value can change."""

    cfg: Any
    resolution: Resolution
    shared: dict[KeyPath, Any]
    frozen: bytes = b""


class _Sweep:
    """Expands a request to points and composes each, with one full composition per distinct set of group choices."""

    def __init__(self, composer: Composer, request: Request) -> None:
        self.composer = composer
        self.request = request
        self.sweeping = request.multirun or bool(request.points)
        self.cacheable = not any("shuffle(" in line for line in request.overrides)
        self._bases: dict[tuple[str, ...], _Base] = {}
        self._errors: list[Diagnostic] = []
        self._places: dict[str, Location] = {}
        self.space: dict[str, dict[str, Any]] = {}

    def points(self) -> tuple[ComposedPoint, ...]:
        """Every point in Hydra's order. Raises DiagnosticError with the mistakes of all of them."""
        from mldlc.config import seam

        found: list[ComposedPoint] = []
        failed: set[tuple[str, ...]] = set()
        for number, (job, swept) in enumerate(self._jobs(self._usable())):
            choices = tuple(line for line in job if not self._is_value(line))
            if choices in failed:
                continue
            try:
                resolution, whole = self._compose(job, swept, choices, number)
                provenance = Provenance(self.composer, tuple(job), resolution, self._places)
                if whole or resolution.missing or resolution.failures or any(".kind=" in line for line in swept):
                    self._check(job, resolution, provenance)
            except (DiagnosticError, *seam.Failure) as error:
                failed.add(choices)
                self._errors += self._placed(diagnose(self.composer, job, error), swept)
                continue
            found.append(ComposedPoint(number, swept, resolution.config, provenance))
        if self._errors:
            raise self._failed()
        return tuple(found)

    def _placed(self, found: list[Diagnostic], swept: tuple[str, ...]) -> list[Diagnostic]:
        """Mistakes in overrides that a config declares, at the place where it does."""
        own = {key_of(line): self._places[line] for line in swept if line in self._places}
        return [
            replace(item, where=own[item.key]) if item.where == COMMAND_LINE and item.key in own else item
            for item in found
        ]

    def _failed(self) -> DiagnosticError:
        """All the mistakes, each once, by place. What an override that cannot be read would have set is not missed."""
        unread = {item.found.partition("=")[0] for item in self._errors if item.code == "bad_override"}
        told = [item for item in self._errors if item.code != "missing_value" or item.key not in unread]
        by_place = sorted(dict.fromkeys(told), key=lambda d: (d.where.file, d.where.line) if d.where else ("", 0))
        return DiagnosticError(by_place)

    def _usable(self) -> list[Item]:
        """The overrides and paired sweeps that can be used; what is wrong with the others is noted."""
        from mldlc.config import seam

        refused = refuse(self.request.overrides)
        lines = [line for line in self.request.overrides if line not in {item.found for item in refused}]
        items, wrong = read_items(self.composer, self._spanned(lines), self.sweeping)
        lines = lines_of(items)
        self._errors += [*refused, *wrong]
        try:
            self.composer.open_sources(lines)
        except (DiagnosticError, *seam.Failure) as error:
            self._errors += diagnose(self.composer, lines, error)
            raise self._failed() from error
        return items

    def _spanned(self, lines: list[str]) -> list[str]:
        """The overrides without those that span the space of a search."""
        from mldlc.config import seam

        def kind_of(lines: tuple[str, ...]) -> Any:
            try:
                self.composer.open_sources(lines)
                choices = tuple(line for line in lines if not self._is_value(line))
                chosen = self._base(choices).resolution.config.get("sweep")
            except (DiagnosticError, *seam.Failure):
                return None  # the same mistake is met, and told, when the points are composed
            return chosen.get("kind") if isinstance(chosen, dict) else None

        lines, self.space, wrong = spanning(self.composer, lines, kind_of)
        self.sweeping = (self.sweeping and not self.space) or bool(self.request.points)
        self._errors += wrong
        return lines

    def _check(self, job: list[str], resolution: Resolution, provenance: Provenance) -> None:
        self._errors += check_resolved(resolution, provenance)
        if any(".kind=" in line for line in job):
            self._errors += check_kinds(self.composer, job, provenance)
        self.cacheable = self.cacheable and all(map(is_repeatable, resolution.texts.values()))

    def _jobs(self, items: list[Item]) -> list[tuple[list[str], tuple[str, ...]]]:
        """Every point: (all its overrides, the swept ones). Sweeps that the config asks for vary fastest."""
        from mldlc.config import seam

        lines = lines_of(items)
        if self.request.points:
            return [(without(self.composer, lines, point) + list(point), point) for point in self.request.points]
        multirun = self.sweeping
        choices = tuple(line for line in lines if not self._is_value(line))
        if multirun:
            jobs = self._expanded(items)
            choices = tuple(line for line in jobs[0][0] if not self._is_value(line))
            values = [line for line in lines if self._is_value(line) and section_of(line) == "sweep"]
        else:
            jobs = [(lines, ())]
            values = [line for line in lines if self._is_value(line)]
        try:
            base = self._base((*choices, *values))
            params = seam.sweeper_params(base.cfg) if multirun else []
            sweep = base.resolution.config.get("sweep")
        except (DiagnosticError, *seam.Failure):
            return jobs  # the same mistake is met, and told, at the first point
        taken = set().union(*map(keys_of, items))
        provenance = Provenance(self.composer, (*choices, *values), base.resolution)
        more, wrong = declared(self.composer, sweep, taken, provenance.locate)
        self._places = {line: a.where for a in more if a.where for lines in a.alternatives for line in lines}
        self._errors += wrong
        self.sweeping = multirun or bool(more)
        self.cacheable = self.cacheable and "shuffle(" not in str(sweep)
        return self._expanded([*params, *items, *more]) if params or more else jobs

    def _expanded(self, items: list[Item]) -> list[tuple[list[str], tuple[str, ...]]]:
        jobs = expand(self.composer, items)
        if not jobs:
            raise fail(
                "empty_sweep", "command line: the sweep has no points", hint="one of its ranges or globs is empty"
            )
        return jobs

    def _is_value(self, line: str) -> bool:
        return self.composer.is_value(line)

    def _base(self, lines: tuple[str, ...], number: int | None = None) -> _Base:
        if lines not in self._bases:
            from mldlc.config import seam

            cfg = self.composer.load(lines)
            for first in self._bases.values():
                seam.share_cache(first.cfg, cfg)
                break
            resolution = resolve(cfg, number)
            shared = {path: value for path, value in resolution.seamed.items() if is_constant(resolution.texts[path])}
            self._bases[lines] = _Base(cfg, resolution, shared)
        return self._bases[lines]

    def _compose(
        self, job: list[str], swept: tuple[str, ...], choices: tuple[str, ...], number: int
    ) -> tuple[Resolution, bool]:
        """The resolved config of one point, and whether it was composed anew rather than laid over a base."""
        if not self.sweeping:
            values = [line for line in job if self._is_value(line)]
            return self._base((*choices, *values)).resolution, True
        first = min((job.index(line) for line in swept if self._is_value(line)), default=len(job))
        prefix = tuple(line for line in job[:first] if self._is_value(line))
        fresh = (*choices, *prefix) not in self._bases
        base = self._base((*choices, *prefix), number)
        values = [line for line in job[first:] if self._is_value(line)]
        if any("hydra" in text for text in base.resolution.texts.values()):
            return resolve(self.composer.load(job), number), True
        changes = _plain_changes(self.composer, values)
        light = overlay(base.resolution, changes, base.shared) if changes is not None else None
        if light is not None:
            return light, fresh or any("${" in str(value) for value in (changes or {}).values())
        return self._replay(base, values, number), True

    def _replay(self, base: _Base, values: list[str], number: int) -> Resolution:
        """Lay values over a copy of the base by Hydra's own function."""
        from mldlc.config import seam

        base.frozen = base.frozen or pickle.dumps(base.cfg)
        cfg = pickle.loads(base.frozen)
        seam.share_cache(base.cfg, cfg)
        seam.apply(cfg, [self.composer.parse(line) for line in values])
        return resolve(cfg, number)


def _plain_changes(composer: Composer, lines: list[str]) -> dict[KeyPath, Any] | None:
    """Value overrides as path -> value, None when one is more than a plain `key=value`."""
    changes: dict[KeyPath, Any] = {}
    for line in lines:
        override = composer.parse(line)
        if override.is_add() or override.is_force_add() or override.is_delete() or "[" in override.key_or_group:
            return None
        path = tuple(override.key_or_group.split("."))
        if any(path != other and path[: len(other)] == other[: len(path)] for other in changes):
            return None
        changes[path] = override.value()
    return changes
