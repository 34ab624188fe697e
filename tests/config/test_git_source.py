"""Configs from git revisions: real temporary repositories, moving and pinned revisions, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mldlc.config.gittree import GitTree, parse_address
from mldlc.config.project import Project, find_project, project_at
from mldlc.plan.diagnostic import DiagnosticError, Location
from tests.config.conftest import FILES, commit, errors, git, run, write


@pytest.fixture
def shared(tmp_path: Path) -> tuple[Path, str, str]:
    """A repository of shared configs with two commits: (path, first sha, second sha); the first is tagged v1."""
    repo = tmp_path / "shared"
    first = commit(
        write(repo, {}) if repo.exists() else (repo.mkdir() or repo), {"conf/model/big.yaml": "kind: big\nwidth: 512\n"}
    )
    git(repo, "tag", "v1")
    second = commit(
        repo,
        {"conf/model/big.yaml": "kind: big\nwidth: 1024\nwidth2: ${seed}\n", "conf/model/huge.yaml": "kind: huge\n"},
    )
    return repo, first, second


def extending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> Project:
    """The demo repository extending a source."""
    monkeypatch.setattr("mldlc.config.project.shipped_conf", lambda: tmp_path / "none")
    files = {**FILES, "mldlc.yaml": f"name: demo\nconf: [conf]\nextends:\n  - {source}\n"}
    return find_project(write(tmp_path / "demo", files))


def test_a_tag_and_a_branch_of_one_repository(
    shared: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, first, second = shared
    old = run(extending(tmp_path, monkeypatch, "git://v1:conf@../shared"), "model=big")
    assert old.points[0].config["model"] == {"kind": "big", "width": 512}
    assert old.refs == {f"v1@{repo}": first}
    new = run(extending(tmp_path, monkeypatch, "git://main:conf@../shared"), "model=big")
    assert new.points[0].config["model"]["width2"] == 7
    assert new.refs == {f"main@{repo}": second}
    assert new.points[0].provenance.locate("model.width") == Location(f"../shared@{second[:7]}:conf/model/big.yaml", 2)
    pinned = run(extending(tmp_path, monkeypatch, f"git://{first}:conf@../shared"), "model=big")
    assert pinned.refs == {}
    assert pinned.points[0].config["model"]["width"] == 512


def test_the_search_path_of_hydra(
    shared: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, first, _ = shared
    project = extending(tmp_path, monkeypatch, "git://v1:conf@../shared")
    project = Project(project.root, project.conf[:1], (), project.manifest, project.name)
    line = f"hydra.searchpath=['git://v1:conf@{repo}']"
    composition = run(project, line, "model=big", "model.width=3")
    assert composition.points[0].config["model"] == {"kind": "big", "width": 3}
    assert [str(w.where) for w in composition.points[0].provenance.writers("model.width")] == [
        f"../shared@{first[:7]}:conf/model/big.yaml:2",
        "command line",
    ]
    swept = run(project, line, "model=big,mlp", "model.width=1,2", multirun=True)
    assert [point.config["model"]["width"] for point in swept.points] == [1, 2, 1, 2]
    assert errors(project, "hydra.searchpath=['git://v7:conf@../shared']", "model=big") == [
        f"command line: no revision 'v7' in {repo}; there are: main, v1"
    ]


def test_mistakes_in_a_git_config_name_revision_and_line(
    shared: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, _, _ = shared
    third = commit(repo, {"conf/model/broken.yaml": "kind: x\nlist: [1\n"})
    project = extending(tmp_path, monkeypatch, "git://main:conf@../shared")
    [found] = errors(project, "model=broken")
    assert found.startswith(f"../shared@{third[:7]}:conf/model/broken.yaml:3: broken YAML: expected ',' or ']'")
    [unknown] = errors(project, "model=hug")
    assert "did you mean 'huge'? (options: big, broken, cnn, huge, mlp" in unknown


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("git://v9:conf@../shared", "mldlc.yaml:4: no revision 'v9' in {repo}; there are: main, v1"),
        ("git://v1:cnf@../shared", "mldlc.yaml:4: no folder 'cnf' in {repo} at {sha}; did you mean 'conf'?"),
        ("git://v1:conf@../gone", "mldlc.yaml:4: no git repository at {root}/gone"),
        ("git://v1:../x@../shared", "mldlc.yaml:4: the folder of 'git://v1:../x@../shared' leaves the repository; "
         "write it without '..' or '/'"),
        ("git://v1@../shared", "mldlc.yaml:4: 'git://v1@../shared' is not a git config source; "
         "expected git://<revision>:<folder>@<path or URL of the repository>"),
        ("git://v1:conf@https://example.org/x.git", "mldlc.yaml:4: 'v1' of https://example.org/x.git is not pinned, and a "
         "plan asks no server what it is now; mldlc lock fetches and pins it"),
        ("git://v1:conf@ftp://example.org/x.git", "mldlc.yaml:4: 'ftp://example.org/x.git' is no repository that can be "
         "fetched; there are: file://, git://, http://, https://, ssh://, git@<host>:<path>"),
        ("git://v1:conf@ext::sh -c x", "mldlc.yaml:4: 'ext::sh -c x' is no repository that can be "
         "fetched; there are: file://, git://, http://, https://, ssh://, git@<host>:<path>"),
        ("git://v1:conf@https://me:secret@example.org/x.git", "mldlc.yaml:4: the URL of https://example.org/x.git carries a "
         "password; write https://example.org/x.git; git asks its credential helper"),
        ("https://example.org/x.git", "mldlc.yaml:4: extends: no folder 'https://example.org/x.git'; "
         "write git://<revision>:<folder>@<path or URL of the repository>"),
        ("../nowhere", "mldlc.yaml:4: extends: no folder '../nowhere'"),
    ],
)  # fmt: skip
def test_a_bad_source_is_told_at_its_line(
    shared: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, text: str
) -> None:
    repo, first, _ = shared
    with pytest.raises(DiagnosticError) as caught:
        extending(tmp_path, monkeypatch, source)
    assert str(caught.value) == text.format(repo=repo, sha=first[:12], root=tmp_path)


def test_an_option_of_git_is_not_an_option_of_git_commands(shared: tuple[Path, str, str], tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError, match="no revision '--output=x'"):
        GitTree(parse_address(f"git://--output=x:conf@{shared[0]}", tmp_path))


def test_links_large_files_and_submodules_are_refused(tmp_path: Path) -> None:
    repo = tmp_path / "odd"
    repo.mkdir()
    (repo / "conf").mkdir()
    (repo / "conf" / "good.yaml").symlink_to("real.yaml")
    (repo / "conf" / "out.yaml").symlink_to("../secret.yaml")
    (repo / "conf" / "loop.yaml").symlink_to("loop.yaml")
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    commit(repo, {"conf/real.yaml": "a: 1\n", "secret.yaml": "b: 1\n", "conf/lfs.yaml": lfs})
    inner = tmp_path / "inner"
    inner.mkdir()
    commit(inner, {"x.yaml": "a: 1\n"})
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "conf/module")
    git(repo, "commit", "-q", "-m", "module")
    tree = GitTree(parse_address(f"git://HEAD:conf@{repo}", tmp_path))
    assert tree.read("good.yaml") == "a: 1\n"
    for path, reason in [
        ("out.yaml", "is a symbolic link out of conf"),
        ("loop.yaml", "is a loop of symbolic links"),
        ("lfs.yaml", "is a Git LFS pointer"),
        ("../secret.yaml", "leaves the folder of the config source"),
    ]:
        with pytest.raises(DiagnosticError, match=reason):
            tree.read(path)
    with pytest.raises(DiagnosticError, match="is a submodule"):
        tree.is_dir("module")


def test_linked_folders_are_followed_inside_the_source_and_refused_out_of_it(tmp_path: Path) -> None:
    repo = tmp_path / "odd"
    (repo / "conf").mkdir(parents=True)
    (repo / "conf" / "alias").symlink_to("model")
    (repo / "conf" / "again").symlink_to("alias/sub")
    (repo / "conf" / "out").symlink_to("../elsewhere")
    (repo / "conf" / "top").symlink_to("..")
    commit(repo, {"conf/model/a.yaml": "a: 1\n", "conf/model/sub/b.yaml": "b: 1\n", "elsewhere/c.yaml": "c: 1\n"})
    tree = GitTree(parse_address(f"git://HEAD:conf@{repo}", tmp_path))
    assert tree.is_dir("alias") and tree.is_file("alias/a.yaml") and tree.read("alias/a.yaml") == "a: 1\n"
    assert tree.names("alias") == ["a.yaml", "sub"] and tree.is_dir("alias/sub")
    assert tree.is_dir("again") and tree.read("again/b.yaml") == "b: 1\n" and tree.names("again") == ["b.yaml"]
    assert not tree.is_file("alias/nothing.yaml") and tree.read("again/nothing.yaml") is None
    assert not tree.is_dir("out") and not tree.is_dir("top")  # only an error for who asks for an option of it
    for ask in (tree.is_file, tree.read):
        with pytest.raises(DiagnosticError, match="conf/out: is a symbolic link out of conf"):
            ask("out/c.yaml")
        with pytest.raises(DiagnosticError, match="conf/top: is a symbolic link out of conf"):
            ask("top/elsewhere/c.yaml")


def test_an_option_of_a_linked_folder_is_never_another_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group of the source is a link out of it; the next source has an option of the same name."""
    repo = tmp_path / "shared"
    (repo / "conf").mkdir(parents=True)
    (repo / "conf" / "model").symlink_to("../elsewhere")
    commit(repo, {"elsewhere/plain.yaml": "kind: plain\n", "conf/other.yaml": "a: 1\n"})
    base = write(tmp_path / "base", {"conf/model/plain.yaml": "kind: of another source\n"})
    project = extending(tmp_path, monkeypatch, f"git://main:conf@../shared\n  - {base}/conf")
    (told,) = errors(project, "model=plain")
    assert told.endswith("conf/model: is a symbolic link out of conf (to '../elsewhere')")


@pytest.mark.parametrize("line", ["model=../../secret", "model=../../nothing"])
def test_an_option_out_of_the_source_is_refused(
    shared: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    repo, _, _ = shared
    commit(repo, {"secret.yaml": "kind: secret\n"})
    (told,) = errors(extending(tmp_path, monkeypatch, "git://main:conf@../shared"), line)
    assert told.endswith("leaves the folder of the config source")


PROGRAMS = (
    "core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.gitProxy", "core.alternateRefsCommand",
    "filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.x.textconv", "diff.x.command", "diff.external",
    "credential.helper", "gpg.program", "uploadpack.packObjectsHook", "alias.cat-file", "alias.ls-tree",
)  # fmt: skip


def test_no_program_that_a_repository_names_is_run(shared: tuple[Path, str, str], tmp_path: Path) -> None:
    repo = shared[0]
    mark, program = tmp_path / "ran", tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {mark}\n')
    program.chmod(0o755)
    commit(repo, {".gitattributes": "* filter=x diff=x\n", "conf/model/big.yaml": "kind: mlp\n"})
    for name in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        (repo / ".git" / "hooks").mkdir(exist_ok=True)
        (repo / ".git" / "hooks" / name).symlink_to(program)
    for name in PROGRAMS:
        git(repo, "config", name, str(program))
    mark.unlink(missing_ok=True)
    subprocess.run(["git", "-C", str(repo), "status"], check=False, capture_output=True)
    assert mark.exists(), "git itself runs what the repository names, so there is something to keep out"
    mark.unlink()
    tree = GitTree(parse_address(f"git://main:conf@{repo}", tmp_path))
    assert tree.read("model/big.yaml") == "kind: mlp\n" and tree.is_dir("model")
    with pytest.raises(DiagnosticError, match="no revision 'absent'"):
        GitTree(parse_address(f"git://absent:conf@{repo}", tmp_path)).read("model/big.yaml")
    assert not mark.exists(), mark.read_text()


def test_a_project_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mldlc.config.project.shipped_conf", lambda: tmp_path / "none")
    repo = tmp_path / "mono"
    repo.mkdir()
    first = commit(repo, {f"app/{name}": text for name, text in FILES.items()})
    commit(
        repo, {"app/conf/optimizer/adam.yaml": "kind: adam\nlr: 0.7\n", "app/mldlc.yaml": "name: later\nconf: [conf]\n"}
    )
    was, now = project_at(repo / "app", "HEAD~1"), project_at(repo / "app", "main")
    assert (was.name, now.name) == ("demo", "later")
    assert was.conf[0] == f"git://{first}:app/conf@{repo}"
    assert run(was).points[0].config["optimizer"]["lr"] == 0.001
    assert run(now).points[0].config["optimizer"]["lr"] == 0.7
    assert run(was).refs == {}
