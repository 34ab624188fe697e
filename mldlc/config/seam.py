"""The only module that knows Hydra and OmegaConf: parse overrides, compose, expand sweeps, apply values, resolve."""

from __future__ import annotations

import copy
import importlib.util
import os
import pickle
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins import basic_launcher, basic_sweeper, structured_config_source
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from mldlc.config.gittree import GitTree, parse_address
from mldlc.config.marks import SafeLoader, leaves, parse, syntax_error
from mldlc.config.project import Project, shipped_conf
from mldlc.config.tree import FolderTree, Ledger, Tree, shown
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, fail

HYDRA_CONF = Path(hydra.__file__).parent / "conf"
Failure = (
    HydraException,
    OmegaConfBaseException,
    ValueError,
    AssertionError,
    TypeError,
)  # what Hydra raises on bad input
env_reads: dict[str, str | None] = {}


def _yaml_loader() -> Any:
    """OmegaConf's YAML dialect (floats like 1e-3, no dates, no duplicate keys) on libyaml's parser."""
    dialect = get_yaml_loader()
    if SafeLoader is yaml.SafeLoader:
        return dialect
    body = {"construct_mapping": _construct_mapping}
    loader = type("ConfigLoader", (SafeLoader,), body)
    loader.yaml_implicit_resolvers = dialect.yaml_implicit_resolvers  # type: ignore[attr-defined]
    loader.yaml_constructors = dialect.yaml_constructors  # type: ignore[attr-defined]
    return loader


def _construct_mapping(self: Any, node: yaml.MappingNode, deep: bool = False) -> Any:
    seen = {}
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:str":
            if key.value in seen:
                text = f"duplicate key '{key.value}' (first on line {seen[key.value]})"
                raise yaml.constructor.ConstructorError(None, None, text, key.start_mark)
            seen[key.value] = key.start_mark.line + 1
    return SafeLoader.construct_mapping(self, node, deep=deep)


YamlLoader = _yaml_loader()


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


@dataclass
class Session:
    """What the sources of one composition share. `lenient` collects broken files instead of raising."""

    project: Project
    ledger: Ledger
    parsed: dict[str, tuple[dict[str, str | None], Any]] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    lenient: list[Diagnostic] | None = None
    absent: set[str] = field(default_factory=set)  # config paths to take as empty (lenient only)

    def tree(self, path: str) -> Tree:
        """The tree of a search path entry, opened once."""
        if path not in self.trees:
            root = self.project.root
            if path.startswith("git://"):
                self.trees[path] = GitTree(parse_address(path, root), self.ledger)
            else:
                folder = root / path.removeprefix("file://")
                self.trees[path] = FolderTree(folder, shown(folder, root, shipped_conf()), self.ledger)
        return self.trees[path]


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
        try:
            header, data = self._data(name)
            config = OmegaConf.create(data)
        except DiagnosticError as error:
            if self.session.lenient is None:
                raise
            self.session.lenient += [d for d in error.diagnostics if d not in self.session.lenient]
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
            self.session.parsed[where] = read_config(text, where)
        return self.session.parsed[where]


def read_config(text: str, where: str) -> tuple[dict[str, str | None], Any]:
    """Header and plain data of a config text. DiagnosticError with the line when it is broken."""
    try:
        header = ConfigSource._get_header_dict(text[:512])
    except ValueError as error:
        raise fail("broken_header", f"bad '# @package' line: {error}", where=Location(where, 1)) from error
    try:
        data = yaml.load(text, Loader=YamlLoader)
    except yaml.YAMLError as error:
        raise DiagnosticError([syntax_error(error, where)]) from error
    if data is None:
        return header, {}
    if not isinstance(data, dict):
        raise fail(
            "broken_yaml", f"expected a mapping of keys, found a {type(data).__name__}", where=Location(where, 1)
        )
    bad = [*_bad_interpolations(text, where)] if "${" in text else []
    if bad:
        raise DiagnosticError(bad)
    return header, data


def construct(node: yaml.Node) -> Any:
    """The plain value of a YAML node, in the dialect of the configs."""
    return yaml.load(yaml.serialize(node, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)), Loader=YamlLoader)


def _bad_interpolations(text: str, where: str) -> Iterable[Diagnostic]:
    for path, node in leaves(parse(text)):
        if "${" in node.value:
            try:
                OmegaConf.create([node.value])
            except OmegaConfBaseException as error:
                problem = str(error).splitlines()[0]
                message = f"broken interpolation in '{'.'.join(path)}': {problem}"
                yield Diagnostic(
                    "bad_interpolation", message, where=Location(where, node.start_mark.line + 1), found=node.value
                )


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
                self.sources.append(SourcesRegistry.instance().resolve(scheme)(entry.provider, entry.path))


def search_path(project: Project, config_dir: str | None) -> ConfigSearchPath:
    """Hydra's search path: its own configs, then ours in order of precedence, then its schemas."""
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    if config_dir is not None:
        path.append("command-line", f"file://{config_dir}")
    for index, conf in enumerate(project.conf):
        path.append("mldlc" if index else "main", conf if "://" in conf else f"file://{conf}")
    if "hydra.core.plugins" in sys.modules:
        from hydra.core.plugins import Plugins
        from hydra.plugins.search_path_plugin import SearchPathPlugin

        for plugin in Plugins.instance().discover(SearchPathPlugin):
            plugin().manipulate_search_path(path)  # type: ignore[attr-defined]
    path.append("schema", "structured://")
    return path


@dataclass(frozen=True)
class Chosen:
    """One config of the defaults list in merge order: its path without extension and the package that it goes under."""

    path: str
    package: str


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
        self._overrides: dict[str, Override] = {}
        self._texts: dict[tuple[str, ...], list[tuple[tuple[str, ...], yaml.Node | None, str]]] = {}

    def parse(self, line: str) -> Override:
        """Parse one override (memoised). ValueError with the parser's complaint."""
        if line not in self._overrides:
            self._overrides[line] = self._parser.parse_overrides([line])[0]
        return self._overrides[line]

    def load(self, lines: Sequence[str]) -> DictConfig:
        """Compose: exactly Hydra's result, `hydra` node included. Raises what Hydra raises, or DiagnosticError."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return self.loader.load_configuration(self.config_name, list(lines), RunMode.RUN)

    def is_value(self, line: str) -> bool:
        """Whether an override only sets values, so that Hydra applies it after the defaults list is merged."""
        override = self.parse(line)
        if (
            override.package is not None
            or override.is_sweep_override()
            or override.key_or_group.split(".")[0] == "hydra"
        ):
            return False
        return isinstance(override.value(), dict) or not self.loader.repository.group_exists(override.key_or_group)

    def chosen(self, lines: Sequence[str]) -> list[Chosen]:
        """The defaults list of a composition that worked, in merge order, Hydra's own configs left out."""
        found = self.loader.compute_defaults_list(self.config_name, list(lines), RunMode.RUN)
        return [
            Chosen(item.config_path, item.package or "")
            for item in found.defaults
            if item.config_path and not item.config_path.startswith("hydra/")
        ]

    def texts(self, lines: Sequence[str]) -> list[tuple[tuple[str, ...], yaml.Node | None, str]]:
        """(package, node tree, name for messages) of every config of a composition in merge order."""
        key = tuple(line for line in lines if not self.is_value(line))
        if key not in self._texts:
            self._texts[key] = []
            for item in self.chosen(key):
                found = self.text_of(item.path)
                if found is not None:
                    package = tuple(item.package.split(".")) if item.package else ()
                    self._texts[key].append((package, parse(found[1]), found[0]))
        return self._texts[key]

    def text_of(self, path: str) -> tuple[str, str] | None:
        """(name for messages, text) of the config that Hydra takes for a path."""
        name = path if path.endswith(".yaml") else f"{path}.yaml"
        for source in self.loader.repository.get_sources():
            if isinstance(source, TreeSource) and source.tree.is_file(name):
                text = source.tree.read(name)
                return (source.tree.where(name), text) if text is not None else None
        return None

    def options(self, group: str) -> list[str]:
        """Options of a group over the whole search path."""
        return list(self.loader.repository.get_group_options(group))


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


def freeze(cfg: DictConfig) -> bytes:
    """A config as bytes, cheaper to copy than by deepcopy."""
    return pickle.dumps(cfg)


def thaw(data: bytes) -> DictConfig:
    """The config of `freeze`."""
    return pickle.loads(data)  # type: ignore[no-any-return]
