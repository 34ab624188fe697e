"""Every way in which a config or code in git can be out of reach: one clear line with its place, exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.cli.main import main
from tests.config.conftest import commit, git, write
from tests.projects import FILES, TALLY, repository

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
MANIFEST = "name: chain\nconf: conf\ncode: [src]\nextends:\n  - {source}\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repositories `team` (everything that git may hold), `shallow`, `bare.git` and a folder `plain` that is none."""
    root = tmp_path_factory.mktemp("world")
    commit(write(root / "team", {"conf/second/good.yaml": "value: 1\n"}), {})
    git(root / "team", "tag", "v1")
    commit(write(root / "inner", {"second/module.yaml": "value: 1\n"}), {})
    write(root / "plain", {"conf/second/good.yaml": "value: 1\n"})
    team = root / "team"
    (team / "conf" / "second" / "out.yaml").symlink_to("../../../secret.yaml")
    (team / "link").symlink_to("conf")
    git(team, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(root / "inner"), "module")
    commit(team, {"conf/second/large.yaml": LFS, "file": "x"})
    git(root, "clone", "-q", "--depth=1", f"file://{team}", "shallow")
    git(root, "clone", "-q", "--bare", str(team), "bare.git")
    return root


@pytest.fixture
def told(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """`told(source, *args)`: exit code and stderr of a plan of a project that extends a source."""
    monkeypatch.setenv("NO_COLOR", "1")

    def call(source: str, *args: str) -> tuple[int, str]:
        source = source.replace("..", str(world), 1) if "@.." in source else source
        made = repository(tmp_path / "project", {"mldlc.yaml": MANIFEST.format(source=source)})
        monkeypatch.chdir(made.root)
        code = main(["plan", *args])
        return code, capsys.readouterr().err.replace(str(world), "..")

    return call


@pytest.mark.parametrize(
    ("source", "args", "text"),
    [
        ("git://mian:conf@../team", (), "mldlc.yaml:5: no revision 'mian' in ../team; did you mean 'main'?"),
        ("git://v1:cnf@../team", (), "mldlc.yaml:5: no folder 'cnf' in ../team at {v1}; did you mean 'conf'?"),
        ("git://main:file@../team", (), "mldlc.yaml:5: 'file' in ../team at {main} is a file, not a folder"),
        ("git://main:link@../team", (), "mldlc.yaml:5: 'link' in ../team at {main} is a symbolic link, not a folder"),
        ("git://main:module@../team", (), "mldlc.yaml:5: 'module' in ../team at {main} is a submodule, not a folder"),
        ("git://main:conf/../..@../team", (), "mldlc.yaml:5: the folder of 'git://main:conf/../..@../team' leaves the "
         "repository; write it without '..' or '/'"),
        ("git://main:conf@../team", ("second=goood",), "command line: no option 'goood' in group 'second'; did you mean 'good'? "),
        ("git://main:conf@../team", ("second=large",), "team@{short}:conf/second/large.yaml: is a Git LFS pointer, its text "
         "is not in the repository"),
        ("git://main:conf@../team", ("second=out",), "team@{short}:conf/second/out.yaml: is a symbolic link out of conf "
         "(to '../../../secret.yaml')"),
        ("git://v1:conf@../shallow", (), "mldlc.yaml:5: no revision 'v1' in ../shallow; the clone is shallow: git fetch "
         "--unshallow"),
        ("git://main:conf@../gone", (), "mldlc.yaml:5: no git repository at ../gone"),
        ("git://main:conf@../plain", (), "mldlc.yaml:5: no git repository at ../plain"),
        ("git://main:conf@../team/conf", (), "mldlc.yaml:5: no git repository at ../team/conf; the repository around it is "
         "../team"),
    ],
)  # fmt: skip
def test_a_config_source_that_cannot_be_read(
    world: Path, told: object, source: str, args: tuple[str, ...], text: str
) -> None:
    code, err = told(source, *args)  # type: ignore[operator]
    shas = {name: git(world / "team", "rev-parse", name)[:12] for name in ("v1", "main")}
    wanted = text.format(**shas, short=shas["main"][:7])
    assert code == 2 and any(wanted in line for line in err.splitlines()), err
    assert "Traceback" not in err and all(line.startswith(("error: ", "warning: ")) for line in err.splitlines())


def test_a_bare_repository_is_as_good(told: object) -> None:
    assert told("git://v1:conf@../bare.git", "second=good") == (0, "")  # type: ignore[operator]


def test_without_git(world: Path, told: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("git://v1:conf@../team", "second=good") == (0, "")  # type: ignore[operator]
    monkeypatch.setenv("PATH", str(tmp_path))
    for args in ((), ("--rev", f"git://main:@{world / 'team'}")):
        code, err = told("git://v1:conf@../team", "second=good", *args)  # type: ignore[operator]
        assert code == 2 and "git is not installed" in err and err.endswith("; install git\n"), err


CODE = {
    "missing": ({"mldlc.yaml": FILES["mldlc.yaml"].replace("[src]", "[src, more]")}, "{sha}:mldlc.yaml:3: code: no folder 'more'"),
    "lfs": ({"src/tallying/large.py": LFS}, "{sha}:src/tallying/large.py: is a Git LFS pointer"),
    "link": ({"src/tallying/out.py": ""}, "{sha}:src/tallying/out.py: is a symbolic link out of src (to "),
    "module": ({}, "{sha}:src/module: is a submodule, its files are in another repository"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CODE))
def test_code_that_git_does_not_hold(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    files, text = CODE[case]
    root = repository(tmp_path / "project", {**files, ".gitignore": "outputs\n"}).root
    commit(root, {})
    if case == "link":
        (root / "src/tallying/out.py").unlink()
        (root / "src/tallying/out.py").symlink_to("../../../outside.py")
    if case == "module":
        git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(world / "inner"), "src/module")
    sha = commit(root, {"changed": "x"})[:7]
    monkeypatch.chdir(root)
    assert main(["plan", "--rev", "HEAD", TALLY]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {text.format(sha=sha)}"), err
    git(root, "checkout", "-q", "HEAD~1")


def test_an_empty_folder_is_not_in_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = repository(tmp_path / "project", {".gitignore": "outputs\n"}).root
    commit(root, {})
    (root / "mldlc.yaml").write_text("name: chain\nconf: [conf, more]\ncode: [src]\n")
    (root / "more").mkdir()
    first = commit(root, {"changed": "x"})[:7]
    monkeypatch.chdir(root)
    for command in (["plan", "--rev", "HEAD"], ["diff", "HEAD~1..HEAD"]):
        assert main(command) == 2
        assert capsys.readouterr().err == (
            f"error: {first}:mldlc.yaml:2: conf: no folder 'more' at {first}; git keeps no empty folder\n"
        )
