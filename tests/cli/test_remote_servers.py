"""Config repositories behind real servers: smart HTTP, https with a password, ssh."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

import pytest

from mldlc.config.mirror import mirror_of
from mldlc.config.user_cache import cache_root
from tests.cli.remotes import BACKEND, CORE, SSHD, extend, make_certificate, ssh_server, told, web_server
from tests.config.conftest import commit, git
from tests.projects import Repository

LOGIN, PASSWORD = "reader", "s3cret-Pa55"
smart = pytest.mark.skipif(
    not (os.access(BACKEND, os.X_OK) and os.access(CORE / "git-remote-https", os.X_OK)),
    reason="git has no http-backend or speaks no HTTP here: apt-get install git",
)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own git settings, in a home of the test; empty."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("XDG_CONFIG_HOME", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_SSL_NO_VERIFY", "GIT_SSL_CAINFO"):
        monkeypatch.delenv(name, raising=False)
    return home / ".gitconfig"


@smart
def test_smart_http_gives_branches_and_a_commit_that_no_branch_leads_to(
    project: Repository, team: Path, user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with web_server(team.parent) as server:
        url = f"http://127.0.0.1:{server.server_port}/team/.git"
        extend(project, url)
        first = git(team, "rev-parse", "main")
        assert told(capsys, "lock") == (0, f"+ main@{url}  {first[:12]}\nmldlc.lock: written.\n", "")
        assert any(path.endswith("/git-upload-pack") for path in server.asked), "git's smart protocol"
        server.asked.clear()
        for _ in ("cold", "warm"):
            assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
        assert server.asked == [], "a plan asks no server"
        git(team, "commit", "--amend", "-q", "-m", "rewritten", "--allow-empty")
        git(team, "tag", "-f", "v1")
        shutil.rmtree(cache_root())
        assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
        second = commit(team, {"settings/second/team.yaml": "value: 30\n"})
        assert told(capsys, "lock")[1].startswith(f"~ main@{url}  {first[:12]} -> {second[:12]}\n")
        extend(project, url.replace("/team/", "/none/"))
        code, _, err = told(capsys, "lock")
        assert code == 2 and "/none/.git: repository 'http" in err and "not found" in err


@smart
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate: apt-get install openssl")
def test_https_with_a_password_asks_the_users_helper_and_keeps_nothing(
    project: Repository, team: Path, user: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = make_certificate(tmp_path / "server.pem")
    with web_server(team.parent, login=f"{LOGIN}:{PASSWORD}", certificate=certificate) as server:
        url = f"https://127.0.0.1:{server.server_port}/team/.git"
        extend(project, url)
        code, _, err = told(capsys, "lock")
        assert code == 2 and f"mldlc.yaml:5: cannot fetch {url}: unable to access" in err and "ertificate" in err
        user.write_text(f"[http]\n  sslCAInfo = {certificate}\n")
        code, _, err = told(capsys, "lock")
        assert code == 2 and f"cannot fetch {url}: could not read Username" in err and "may you read it?" in err
        helper = '!f() { test "$1" = get && echo username=%s && echo password=%s; }; f'
        settings = '[http]\n  sslCAInfo = {}\n[credential]\n  helper = "{}"\n'
        user.write_text(settings.format(certificate, (helper % (LOGIN, "wrong")).replace('"', '\\"')))
        code, _, err = told(capsys, "lock")
        assert code == 2 and f"cannot fetch {url}: Authentication failed" in err and "wrong" not in err
        user.write_text(settings.format(certificate, (helper % (LOGIN, PASSWORD)).replace('"', '\\"')))
        first = git(team, "rev-parse", "main")
        assert told(capsys, "lock") == (0, f"+ main@{url}  {first[:12]}\nmldlc.lock: written.\n", "")
        shutil.rmtree(cache_root())
        assert told(capsys, "plan", "second=team", "--locked", "-o", "plan.json")[::2] == (0, "")
    for folder in (project.root, mirror_of(url)):
        assert [path for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()] == []
    user.unlink()
    assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, ""), "without server and password, from the copy"


@pytest.mark.skipif(SSHD is None, reason="no sshd here: apt-get install openssh-server")
@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here: apt-get install openssh-client")
def test_ssh_by_url_and_as_git_writes_it(
    project: Repository, team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_server(tmp_path / "ssh") as (port, client):
        monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {client}")
        first = git(team, "rev-parse", "main")
        for url in (f"ssh://{getpass.getuser()}@127.0.0.1:{port}{team}", f"{getpass.getuser()}@team:{team}"):
            extend(project, url)
            assert told(capsys, "lock")[::2] == (0, ""), url
            assert f"main@{url}: {first}" in (project.root / "mldlc.lock").read_text()
            assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
        shutil.rmtree(cache_root())
        assert told(capsys, "plan", "second=team", "--locked")[::2] == (0, "")
        known = tmp_path / "ssh" / "known"
        known.write_text(known.read_text().replace((tmp_path / "ssh/host.pub").read_text().split()[1],
                                                   (tmp_path / "ssh/user.pub").read_text().split()[1]))  # fmt: skip
        code, _, err = told(capsys, "lock")
        assert code == 2 and f"cannot fetch {url}: " in err and "erification failed" in err
