"""Config repositories behind a URL: fetched and pinned by `mldlc lock`, read from the copy, offline too."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mldlc.config.mirror import mirror_of
from mldlc.config.user_cache import cache_root
from tests.cli.remotes import CORE, MANIFEST, extend, told
from tests.config.conftest import commit, git, write
from tests.projects import TALLY, Repository

DAEMON = CORE / "git-daemon"


def test_a_lock_fetches_and_what_it_pins_holds_without_the_remote(
    project: Repository, team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"file://{team}"
    extend(project, url)
    code, _, err = told(capsys, "plan", "second=team")
    assert (code, err) == (
        2, f"error: mldlc.yaml:5: 'main' of {url} is not pinned, and a plan asks no server what it is now; "
        "mldlc lock fetches and pins it\n",
    )  # fmt: skip
    assert not (tmp_path / "cache").exists(), "a plan alone fetches nothing"
    first = git(team, "rev-parse", "main")
    assert told(capsys, "lock") == (0, f"+ main@{url}  {first[:12]}\nmldlc.lock: written.\n", "")
    second = commit(team, {"settings/second/team.yaml": "value: 30\n"})
    shutil.move(team, tmp_path / "away")
    for _ in ("cold", "warm"):
        assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
    out = told(capsys, "explain", "second.value", "second=team")[1]
    assert f"{url}@{first[:7]}:settings/second/team.yaml:1  20" in out
    assert f"# {first[:7]} is main of {url} (mldlc.lock)" in out
    code, _, err = told(capsys, "lock")
    assert code == 2 and err.startswith(f"error: mldlc.yaml:5: cannot fetch {url}: ")
    shutil.move(tmp_path / "away", team)
    assert told(capsys, "lock", "--check")[1].startswith(f"~ main@{url}  {first[:12]} -> {second[:12]}\n")


def test_a_copy_that_is_gone_is_fetched_again_up_to_the_pinned_commit(
    project: Repository, team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"file://{team}"
    extend(project, url)
    first = git(team, "rev-parse", "main")
    assert told(capsys, "lock")[0] == 0
    git(team, "commit", "--amend", "-q", "-m", "rewritten", "--allow-empty")
    git(team, "tag", "-f", "v1")
    shutil.rmtree(cache_root())
    assert told(capsys, "plan", "second=team")[::2] == (0, ""), "by its id, as no branch leads to it any more"
    git(team, "reflog", "expire", "--expire=now", "--all")
    git(team, "gc", "-q", "--prune=now")
    assert told(capsys, "plan", "second=team")[::2] == (0, "")
    shutil.rmtree(cache_root())
    code, _, err = told(capsys, "plan", "second=team")
    assert code == 2 and err.startswith(f"error: mldlc.yaml:5: mldlc.lock pins 'main' of {url}: cannot fetch {url}: ")
    assert first in err and err.endswith("or pin anew: mldlc lock\n")


def test_full_commits_need_no_lock_and_tags_do(
    project: Repository, team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, first = f"file://{team}", git(team, "rev-parse", "main")
    extend(project, url, first)
    assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
    assert told(capsys, "lock")[1] == "mldlc.lock: the config names no moving revision.\n"
    extend(project, url, "v1")
    assert "'v1' of file://" in told(capsys, "plan")[2]
    extend(project, url, "v2")
    assert told(capsys, "lock")[2] == f"error: mldlc.yaml:5: no revision 'v2' in {url}; there are: main, v1\n"
    project.write("mldlc.yaml", MANIFEST.format(rev=first, url=url).replace(":@", ":setings@"))
    assert f"no folder 'setings' in {url} at {first[:12]}; did you mean 'settings'?" in told(capsys, "plan")[2]
    extend(project, url, "HEAD")
    assert told(capsys, "lock")[1].startswith(f"+ HEAD@{url}  {first[:12]}\n")
    code, _, err = told(capsys, "plan", "--rev", f"git://v1:@{url}")
    assert code == 2 and "name a full commit id, or clone it" in err


def test_one_pin_is_made_anew(
    project: Repository, team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(write(tmp_path / "other", {"conf/second/other.yaml": "value: 1\n"}), {})
    urls = [f"file://{team}", f"file://{tmp_path / 'other'}"]
    project.write("mldlc.yaml", MANIFEST.format(rev="main", url=urls[0]) + f"  - git://main:conf@{urls[1]}\n")
    assert told(capsys, "lock")[0] == 0
    before = (project.root / "mldlc.lock").read_text()
    moved = [commit(tmp_path / name, {"more": "x"}) for name in ("team", "other")]
    out = told(capsys, "lock", "--update", urls[1])[1]
    assert [line[0] for line in out.splitlines()] == ["~", "=", "m"] and f"-> {moved[1][:12]}" in out
    assert told(capsys, "lock", "--update", "nothing")[::2] == (
        2, f"error: command line: mldlc.lock pins no 'nothing'; pinned: main@{urls[1]}, main@{urls[0]}\n",
    )  # fmt: skip
    assert (
        told(capsys, "lock")[1].startswith(f"= main@{urls[1]}") and (project.root / "mldlc.lock").read_text() != before
    )


def test_what_a_fetched_repository_extends_is_named_by_url(
    project: Repository, team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(write(tmp_path / "base", {"conf/second/base.yaml": "value: 9\n"}), {})
    commit(team, {"mldlc.yaml": "conf: settings\nextends: git://main:conf@../base\n"})
    extend(project, f"file://{team}")
    code, _, err = told(capsys, "lock")
    assert code == 2 and "'git://main:conf@../base' starts at a repository that is fetched; write its URL there" in err
    commit(team, {"mldlc.yaml": f"conf: settings\nextends: git://main:conf@file://{tmp_path / 'base'}\n"})
    assert told(capsys, "lock")[0] == 0
    assert told(capsys, "plan", "second=base", "--locked")[::2] == (0, "")


PROGRAMS = (
    "core.sshCommand", "core.gitProxy", "core.fsmonitor", "core.alternateRefsCommand", "credential.helper", "core.askPass",
    "uploadpack.packObjectsHook", "remote.origin.uploadpack", "gpg.program", "diff.external", "filter.x.smudge",
)  # fmt: skip


def test_no_program_and_no_address_that_a_repository_names_is_used_for_fetching(
    project: Repository, team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark, program = tmp_path / "ran", tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {mark}\n')
    program.chmod(0o755)
    for repo in (team, project.root):
        for name in PROGRAMS:
            git(repo, "config", name, str(program))
        for name in ("protocol.ext.allow", "protocol.allow"):
            git(repo, "config", name, "always")
        git(repo, "config", f"url.ext::{program} x.insteadOf", "file://")
        git(repo, "config", "core.hooksPath", str(tmp_path / "hooks"))
    for name in ("reference-transaction", "post-merge", "post-checkout", "pre-auto-gc", "update", "post-update"):
        for folder in (tmp_path / "hooks", team / ".git" / "hooks"):
            folder.mkdir(exist_ok=True)
            (folder / name).symlink_to(program)
    mark.unlink(missing_ok=True)
    ran = subprocess.run(["git", "-C", str(project.root), "ls-remote", f"file://{team}"], capture_output=True)
    assert mark.exists() and ran.returncode, "git itself takes the address that the repository names"
    mark.unlink()
    extend(project, f"file://{team}")
    assert told(capsys, "lock")[0] == 0
    shutil.rmtree(cache_root())
    assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
    assert not mark.exists(), mark.read_text()
    config = (mirror_of(f"file://{team}") / "config").read_text()
    assert "ext::" not in config and not (mirror_of(f"file://{team}") / "hooks").exists()


@pytest.fixture
def served(team: Path) -> Iterator[str]:
    """The team's repository behind git's own server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (team / ".git" / "git-daemon-export-ok").touch()
    command = [str(DAEMON), "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={team.parent}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        try:
            yield f"git://127.0.0.1:{port}/team/.git"
        finally:
            daemon.terminate()


@pytest.mark.skipif(not os.access(DAEMON, os.X_OK), reason="git has no server here")
def test_a_repository_behind_a_server(
    project: Repository, served: str, team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extend(project, served)
    first = git(team, "rev-parse", "main")
    assert told(capsys, "lock") == (0, f"+ main@{served}  {first[:12]}\nmldlc.lock: written.\n", "")
    assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
    extend(project, served.replace("/team/", "/none/"))
    code, _, err = told(capsys, "lock")
    assert code == 2 and "cannot fetch git://127.0.0.1:" in err and "is it reachable, and may you read it?" in err


@pytest.mark.skipif(not os.access(DAEMON.with_name("git-remote-http"), os.X_OK), reason="git speaks no HTTP here")
def test_a_repository_behind_a_web_server(
    project: Repository, team: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    git(team, "update-server-info")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(team.parent))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/team/.git"
        extend(project, url)
        assert told(capsys, "lock")[0] == 0
        server.shutdown()
    assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
    code, _, err = told(capsys, "lock")
    assert code == 2 and f"cannot fetch {url}: " in err


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and tells nobody."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_cache_that_cannot_be_written(
    project: Repository, team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLDLC_CACHE", str(tmp_path / "file"))
    extend(project, f"file://{team}")
    code, _, err = told(capsys, "lock")
    assert code == 2 and "point MLDLC_CACHE to a folder that can be written" in err


def test_a_whole_project_is_read_from_a_remote_commit(
    project: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    sha = git(project.root, "rev-parse", "HEAD")
    address = f"git://{sha}:@file://{project.root}"
    code, out, err = told(capsys, "plan", "--rev", address, TALLY, "-o", "plan.json")
    assert (code, "t " in out) == (0, True), err
    shutil.rmtree(project.root)
    code, out, err = told(capsys, "run", "plan.json")
    assert (code, ": ok. 4 run." in out) == (0, True), err
    code, _, err = told(capsys, "plan", "--rev", address.replace(sha, "main"), TALLY)
    assert code == 2 and "'main' of file://" in err and "name a full commit id, or clone it" in err
