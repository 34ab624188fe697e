"""The only module that knows Hydra and OmegaConf: parse overrides, compose, expand sweeps, apply values, resolve."""

from __future__ import annotations

import copy
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra import version
from hydra._internal import defaults_list as _defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository, IConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins import basic_launcher, basic_sweeper, structured_config_source  # noqa: F401 (registers its config)
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from mldlc.config.marks import fast_loader
from mldlc.config.parsed import Parsed
from mldlc.config.project import Project
from mldlc.config.session import Dialect, Session, entries, read_config
from mldlc.config.tree import FolderTree, Ledger, Tree
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, fail

HYDRA_CONF = Path(hydra.__file__).parent / "conf"
Failure = (
    HydraException,
    OmegaConfBaseException,
    ValueError,
    AssertionError,
    AttributeError,
    TypeError,
)  # what Hydra raises on bad input
env_reads: dict[str, str | None] = {}


def _problem(text: str) -> str:
    """What is wrong with the syntax of an interpolated text, "" when nothing is."""
    try:
        OmegaConf.create([text])
    except OmegaConfBaseException as error:
        return str(error).splitlines()[0]
    return ""


DIALECT = Dialect(fast_loader(get_yaml_loader()), ConfigSource._get_header_dict, _problem)


def _record_env(name: str, *default: Any) -> str | None:
    """OmegaConf's `oc.env`, noting which variables a config depends on."""
    env_reads[name] = os.environ.get(name)
    return oc.env(name, *default)


def set_up() -> None:
    """Process-wide state that Hydra wants before it composes; cheap to repeat."""
    version.setbase("1.3")
    setup_globals()
    OmegaConf.register_new_resolver("oc.env", _record_env, replace=True)
    JobRuntime.instance().set("name", "mldlc")
    registry = SourcesRegistry.instance()
    registry.register(structured_config_source.StructuredConfigSource)
    if importlib.util.find_spec("hydra_plugins") is not None:  # the scan runs every plugin: only when there are some
        from hydra.core.plugins import Plugins

        Plugins.instance()


class TreeSource(ConfigSource):
    """A Hydra config source over a Tree."""

    def __init__(self, provider: str, path: str, session: Session, tree: Tree) -> None:
        self.provider = provider
        self.address = path
        self.path = path.split("://", 1)[-1]
        self.session = session
        self.tree = tree

    @staticmethod
    def scheme() -> str:
        return "file"

    def full_path(self) -> str:
        return self.address

    def available(self) -> bool:
        return self.tree.available

    def is_group(self, config_path: str) -> bool:
        return self.tree.is_dir(config_path)

    def is_config(self, config_path: str) -> bool:
        return config_path in self.session.absent or self.tree.is_file(self._normalize_file_name(config_path))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        found: list[str] = []
        for name in self.tree.names(config_path):
            path = f"{config_path}/{name}" if config_path else name
            self._list_add_result(found, path, name, results_filter)
        return sorted(set(found))

    def load_config(self, config_path: str) -> ConfigResult:
        name = self._normalize_file_name(config_path)
        header: dict[str, str | None] = {"package": None}
        self.session.seen[config_path] = None
        try:
            header, data = self._data(name)
            config = OmegaConf.create(data)
        except DiagnosticError as error:
            if self.session.lenient is None:
                raise
            self.session.lenient += [d for d in error.diagnostics if d not in self.session.lenient]
            self.session.skipped.add(config_path)
            config = OmegaConf.create()
        return ConfigResult(provider=self.provider, path=self.address, config=config, header=header)

    def _data(self, name: str) -> tuple[dict[str, str | None], Any]:
        where = self.tree.where(name)
        if where not in self.session.parsed:
            text = self.tree.read(name)
            if text is None:
                if name.removesuffix(".yaml") in self.session.absent:
                    return {"package": None}, {}
                raise ConfigLoadError(f"Config not found : {where}")
            self.session.parsed[where] = read_config(text, where, DIALECT)
        return self.session.parsed[where]


class GitConfigSource(TreeSource):
    """A git source as Hydra's own command line makes it: from its address alone."""

    project: Project

    def __init__(self, provider: str, path: str) -> None:
        session = Session(self.project, Ledger())
        super().__init__(provider, path, session, session.tree(path))

    @staticmethod
    def scheme() -> str:
        return "git"


class ProjectSearchPath(SearchPathPlugin):
    """Puts a project's configs on the search path of Hydra's own command line."""

    entries: tuple[tuple[str, str], ...] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provider, path in self.entries:
            search_path.append(provider, path)


class Repository(ConfigRepository):
    """Hydra's repository over our trees; copies share the open sources."""

    def __init__(self, path: ConfigSearchPath, session: Session) -> None:
        self.session = session
        super().__init__(path)

    def __deepcopy__(self, memo: object) -> Repository:
        return copy.copy(self)

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        self.sources = []
        for entry in config_search_path.get_path():
            assert entry.path is not None and entry.provider is not None
            scheme = self._get_scheme(entry.path)
            if entry.path == "pkg://hydra.conf":
                self.sources.append(
                    TreeSource(entry.provider, entry.path, self.session, FolderTree(HYDRA_CONF, "hydra"))
                )
            elif scheme in ("file", "git"):
                tree = self.session.tree(entry.path)
                if not tree.available and entry.provider.startswith("hydra.searchpath"):
                    raise fail("missing_folder", f"hydra.searchpath: no folder '{entry.path}'", found=entry.path)
                self.sources.append(TreeSource(entry.provider, entry.path, self.session, tree))
            else:
                if scheme != "structured":
                    self.session.ledger.unkeyed.add(entry.path)
                self.sources.append(SourcesRegistry.instance().resolve(scheme)(entry.provider, entry.path))


_full_map = _defaults_list._create_interpolation_map
_NO_CHOICES = OmegaConf.create()


def _interpolation_map(overrides: Any, defaults: Any, self_added: bool) -> DictConfig:
    """Hydra's map of choices, made only for a defaults list that interpolates: Hydra makes it for each, at a third of
    the cost of a large composition."""
    interpolates = any("${" in str(getattr(item, "value", None) or getattr(item, "path", "")) for item in defaults)
    return _full_map(overrides, defaults, self_added) if interpolates else _NO_CHOICES


@contextmanager
def _hydra_at_work() -> Iterator[None]:
    """Around every composition: no warnings of Hydra's own, no needless maps."""
    _defaults_list._create_interpolation_map = _interpolation_map  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        _defaults_list._create_interpolation_map = _full_map


def search_path(project: Project, config_dir: str | None) -> ConfigSearchPath:
    """Hydra's search path: its own configs, then ours in order of precedence, then its schemas."""
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    for provider, address in entries(project, config_dir):
        path.append(provider, address)
    if "hydra.core.plugins" in sys.modules:
        from hydra.core.plugins import Plugins

        for plugin in Plugins.instance().discover(SearchPathPlugin):
            plugin().manipulate_search_path(path)  # type: ignore[attr-defined]
    path.append("schema", "structured://")
    return path


class Composer:
    """Composes configs of one project: Hydra's own loader over our sources."""

    def __init__(self, project: Project, config_name: str, config_dir: str | None, ledger: Ledger) -> None:
        set_up()
        self.config_name = config_name
        self.session = Session(project, ledger)
        path = search_path(project, config_dir)
        self.loader = ConfigLoaderImpl.__new__(ConfigLoaderImpl)
        self.loader.config_search_path = path
        self.loader.repository = Repository(path, self.session)
        self._parser = OverridesParser.create(config_loader=self.loader)
        self._parsed = Parsed(lambda line: self._parser.parse_overrides([line])[0])
        self._values: dict[str, bool] = {}
        self._groups: dict[str, bool] = {}
        self._sources: CachingConfigRepository | None = None

    def parse(self, line: str) -> Override:
        """Parse one override (memoised). Raises one of `Failure` with the parser's complaint."""
        override: Override = self._parsed[line]
        return override

    def load(self, lines: Sequence[str]) -> DictConfig:
        """Compose: exactly Hydra's result, `hydra` node included. Raises one of `Failure`, or DiagnosticError."""
        with _hydra_at_work():
            return self.loader.load_configuration(self.config_name, list(lines), RunMode.RUN)

    def open_sources(self, lines: Sequence[str]) -> None:
        """Take `hydra.searchpath` of the command line or of the primary config into account for what follows."""
        extra = [line for line in lines if line.startswith("hydra.searchpath")]
        with _hydra_at_work():
            _, self._sources = self.loader._parse_overrides_and_create_caching_repo(self.config_name, extra)
        self._values.clear()
        self._groups.clear()

    @property
    def sources(self) -> IConfigRepository:
        """The config sources, those of `hydra.searchpath` included once they are open."""
        return self._sources or self.loader.repository

    def is_value(self, line: str) -> bool:
        """Whether an override only sets values, so that Hydra applies it after the defaults list is merged."""
        if line not in self._values:
            self._values[line] = self._sets_values(self.parse(line))
        return self._values[line]

    def _sets_values(self, override: Override) -> bool:
        key = override.key_or_group
        if override.package is not None or override.is_sweep_override() or key.split(".")[0] == "hydra":
            return False
        if key not in self._groups:
            self._groups[key] = self.sources.group_exists(key)
        return isinstance(override.value(), dict) or not self._groups[key]

    def outline(self, lines: Sequence[str]) -> tuple[DefaultsList, CachingConfigRepository]:
        """The defaults list of a composition. Raises one of `Failure`, or DiagnosticError."""
        with _hydra_at_work():
            parsed, repo = self.loader._parse_overrides_and_create_caching_repo(self.config_name, list(lines))
            return create_defaults_list(repo, self.config_name, parsed, prepend_hydra=True, skip_missing=False), repo

    def merged(self, lines: Sequence[str]) -> DictConfig:
        """The configs of the defaults list merged, before any value override."""
        outline, repo = self.outline(lines)
        cfg = self.loader._compose_config_from_defaults_list(outline.defaults, repo)
        OmegaConf.set_struct(cfg, True)
        return cfg

    def text_of(self, path: str, repo: IConfigRepository | None = None) -> tuple[str, str] | None:
        """(name for messages, text) of the file that Hydra takes for a config path."""
        name = path if path.endswith(".yaml") else f"{path}.yaml"
        for source in (repo or self.sources).get_sources():
            if isinstance(source, TreeSource) and source.tree.is_file(name):
                text = source.tree.read(name)
                return (source.tree.where(name), text) if text is not None else None
        return None

    def options(self, group: str) -> list[str]:
        """Options of a group over the whole search path; "" gives the primary configs."""
        return list(self.sources.get_group_options(group))

    def groups(self) -> list[str]:
        """Top-level groups over the whole search path."""
        found = self.sources.get_group_options("", ObjectType.GROUP)
        return [name for name in found if name not in ("hydra", "__pycache__")]

    @contextmanager
    def leniently(self) -> Iterator[list[Diagnostic]]:
        """Take broken files as empty and collect what is wrong with them, so that the search for mistakes goes on."""
        broken: list[Diagnostic] = []
        self.session.lenient = broken
        self.session.parsed.clear()
        try:
            yield broken
        finally:
            self.session.lenient = None
            self.session.absent.clear()


def points(composer: Composer, lines: Sequence[str]) -> list[tuple[list[str], tuple[str, ...]]]:
    """Expand sweeps in Hydra's order: for each point (all its overrides, the swept ones only)."""
    overrides = [composer.parse(line) for line in lines]
    swept = {o.get_key_element() for o in overrides if o.is_sweep_override()}
    [jobs] = basic_sweeper.BasicSweeper.split_arguments(overrides, None)
    order = list(dict.fromkeys(o.get_key_element() for o in overrides))
    picked = [index for index, key in enumerate(order) if key in swept]
    return [(job, tuple(job[index] for index in picked)) for job in jobs]


def sweeper_params(cfg: DictConfig) -> list[str]:
    """Sweeps that the config itself asks for (`hydra.sweeper.params`)."""
    params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
    return [f"{key}={value}" for key, value in params.items()]


def apply(cfg: DictConfig, overrides: Sequence[Override]) -> None:
    """Apply value overrides in place, by Hydra's own function."""
    ConfigLoaderImpl._apply_overrides_to_config(list(overrides), cfg)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as plain values, interpolations as written, without the `hydra` node."""
    found: Any = OmegaConf.to_container(cfg, resolve=False)
    found.pop("hydra", None)
    return found  # type: ignore[no-any-return]


def value_at(cfg: DictConfig, path: Sequence[str | int]) -> Any:
    """The resolved value under a path. Raises what OmegaConf raises when an interpolation fails."""
    node: Any = cfg
    for part in path:
        node = node[part]
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def bind(cfg: DictConfig, number: int | None) -> None:
    """Make `${hydra:...}` answer from this config, as Hydra does for a job."""
    if number is not None:
        with read_write(cfg.hydra), open_dict(cfg.hydra):
            cfg.hydra.job.num = number
    HydraConfig.instance().set_config(cfg)


def share_cache(source: DictConfig, target: DictConfig) -> None:
    """Let `${now:}` and other cached resolvers give one answer over a whole sweep."""
    OmegaConf.copy_cache(from_config=source, to_config=target)


def run_hydra(project: Project, config_dir: str | None, config_name: str, task: Callable[[DictConfig], None]) -> None:
    """Hydra's own command line (sys.argv) over a project's configs."""
    from hydra.core.plugins import Plugins

    GitConfigSource.project = project
    Plugins.instance().register(GitConfigSource)
    Plugins.instance().register(ProjectSearchPath)
    ProjectSearchPath.entries = entries(project, config_dir)
    try:
        hydra.main(version_base="1.3", config_path=None, config_name=config_name)(task)()
    finally:
        ProjectSearchPath.entries = ()
