"""Copies of remote repositories: bare mirrors in the user's cache, fetched when a lock is made or names a commit that
is not there yet, and read as local ones. Nothing that a repository configures is used, no hook of one is run.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mldlc.config.gitrepo import commits_of, started
from mldlc.config.user_cache import cache_root
from mldlc.plan.codec import digest
from mldlc.plan.diagnostic import DiagnosticError, fail

PROTOCOLS = ("file", "git", "http", "https", "ssh")
TIMEOUT = 900.0  # seconds that a fetch may take in all
OURS = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false",
    "fetch.recurseSubmodules=false", "fetch.writeCommitGraph=false", "transfer.bundleURI=false",
    "protocol.ext.allow=never", "protocol.fd.allow=never", "http.lowSpeedLimit=1", "http.lowSpeedTime=60",
)  # fmt: skip
REDIRECTING = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_TEMPLATE_DIR", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG", "GIT_PREFIX",
)  # fmt: skip
REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def is_remote(repo: str) -> bool:
    """Whether a repository is named by a URL, or as ssh does (`git@host:path`), rather than by a path."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", repo) or re.match(r"[^/]+@[^/:]+:", repo))


def check_url(url: str) -> None:
    """DiagnosticError for what is not fetched: other protocols, a password in a URL, what git takes for an option."""
    scheme = url.partition("://")[0] if "://" in url else "ssh"
    if scheme not in PROTOCOLS or ("://" not in url and not re.match(r"[^/:@-][^/:@]*@[^/:]+:", url)):
        hint = f"there are: {', '.join(f'{name}://' for name in PROTOCOLS)}, git@<host>:<path>"
        raise fail("bad_git_source", f"'{url}' is no repository that can be fetched", found=url, hint=hint)
    if re.match(r"[a-z]+://[^/@]*:[^/@]*@", url):
        shown = re.sub(r"//[^/@]*@", "//", url)
        hint = f"write {shown}; git asks its credential helper"
        raise fail("secret_value", f"the URL of {shown} carries a password", hint=hint)


def mirror_of(url: str) -> Path:
    """Where the copy of a remote repository lies, whether it is there or not."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", url.rstrip("/").removesuffix(".git"))[-60:].strip("-.")
    return cache_root() / "git" / f"{name}-{digest(url)[:16]}.git"


def holds(url: str, commit: str) -> bool:
    """Whether the copy has a commit."""
    mirror = mirror_of(url)
    return (mirror / "HEAD").is_file() and commits_of(mirror, [commit]) == [commit]


def fetch(url: str, commit: str = "") -> Path:
    """Bring the copy up to date with every branch and tag, or until it has a commit; where it lies.

    DiagnosticError when the repository cannot be reached, or has no such commit.
    """
    check_url(url)
    mirror = mirror_of(url)
    with _alone(mirror):
        if not (mirror / "HEAD").is_file():
            _make(mirror)
        head = _git(mirror, url, "ls-remote", "--symref", "--", url, "HEAD").stdout.decode(errors="replace")
        _git(mirror, url, "fetch", *_FLAGS, "--prune", "--", url, *REFS)
        if branch := re.match(r"ref: (refs/heads/\S+)\tHEAD", head):
            _git(mirror, url, "symbolic-ref", "HEAD", branch[1])
        if commit and commits_of(mirror, [commit]) != [commit]:  # no branch leads to it any more
            _git(mirror, url, "fetch", *_FLAGS, "--", url, commit)
    return mirror


_FLAGS = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")


def _make(mirror: Path) -> None:
    """An empty repository, renamed into place."""
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=mirror.parent))
    try:
        _git(aside, str(mirror), "init", "--quiet", "--bare", "--template=", str(aside))
        shutil.rmtree(mirror, ignore_errors=True)  # what a killed process left
        aside.rename(mirror)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _git(mirror: Path, url: str, *args: str) -> subprocess.CompletedProcess[bytes]:
    """git on the copy, with the user's own settings (credentials, proxies) and nobody else's."""
    env = {name: value for name, value in os.environ.items() if name not in REDIRECTING}
    env |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS), "LC_ALL": "C"}
    settings = (part for item in OURS for part in ("-c", item))
    where = () if args[0] == "init" else (f"--git-dir={mirror}",)
    try:
        done = started(["git", *settings, *where, *args], env, cwd=mirror, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise fail("unavailable", f"{url} did not answer within {TIMEOUT:.0f} s", found=url) from None
    if done.returncode:
        raise _failed(url, done.stderr.decode(errors="replace"))
    return done


def _failed(url: str, told: str) -> DiagnosticError:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    first = next(
        (line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "git failed"
    )
    if "Could not read from remote repository" in first and lines.index(first):
        first = lines[lines.index(first) - 1]  # ssh has said why
    said = re.sub(r"^(fatal|error): ", "", re.sub(r"//[^/@\s]*:[^/@\s]*@", "//", first))
    return fail("unavailable", f"cannot fetch {url}: {said}", found=url, hint="is it reachable, and may you read it?")


@contextmanager
def _alone(mirror: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process."""
    try:
        mirror.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(f"{mirror}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        hint = "point MLDLC_CACHE to a folder that can be written"
        raise fail("cannot_write", f"cannot write {mirror.parent}: {error.strerror}", hint=hint) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
