"""Read-only git on local repositories: revisions and objects. Nothing that a repository asks for is run: no hook, no
filter, no monitor, no fetch of missing objects, no replaced object.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from mldlc.plan.diagnostic import DiagnosticError, did_you_mean, fail

SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
QUIET = {
    "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C",
}  # fmt: skip
TAME = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.allow=never", "core.sshCommand=false")
KEPT = ("GIT_EXEC_PATH", "GIT_SSL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")


def git_dir(repo: Path) -> Path:
    """The git folder of a repository with a work tree, or bare. DiagnosticError when `repo` is neither."""
    for place in (repo / ".git", repo):
        if (place.is_file() and place != repo) or ((place / "HEAD").is_file() and (place / "objects").is_dir()):
            return place
    around = next((folder for folder in repo.parents if (folder / ".git").exists()), None) if repo.is_dir() else None
    hint = f"the repository around it is {around}" if around else ""
    raise fail("bad_git_source", f"no git repository at {repo}", found=str(repo), hint=hint)


def repository_around(start: Path) -> Path | None:
    """The top of the work tree that a folder is in, or the bare repository that it is; None outside of both."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir()):
            return folder
    return None


def is_bare(repo: Path) -> bool:
    """Whether a repository has no work tree."""
    return not (repo / ".git").exists()


def run_git(repo: Path, *args: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a git command that only reads objects and refs."""
    command = ["git", *(part for item in TAME for part in ("-c", item)), f"--git-dir={git_dir(repo)}", *args]
    return call_git(command, QUIET, stdin)


def call_git(
    command: Sequence[str], extra: dict[str, str], stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Start git with a clean environment: no variable of the caller's may point it at another repository."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(KEPT)}
    return started(command, env | extra, stdin)


def started(
    command: Sequence[str],
    env: dict[str, str],
    stdin: bytes | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """git's answer; without a terminal, so that nothing it starts can ask a question. DiagnosticError without git."""
    try:
        return subprocess.run(
            command, input=stdin or b"", capture_output=True, env=env, check=False, cwd=cwd, timeout=timeout,
            start_new_session=timeout is not None,
        )  # fmt: skip
    except FileNotFoundError:
        raise fail("no_git", "git is not installed, and the config names git revisions", hint="install git") from None


def commits_of(repo: Path, revs: Sequence[str]) -> list[str | None]:
    """The full commit sha of each revision, None where there is none; one git process for all."""
    asked = "".join(f"{rev}^{{commit}}\n" for rev in revs)
    lines = run_git(repo, "cat-file", "--batch-check", stdin=asked.encode()).stdout.decode().splitlines()
    words = [line.split(" ") for line in lines]
    found = [word[0] if len(word) == 3 and word[1] == "commit" else None for word in words]
    return found if len(found) == len(revs) else [None] * len(revs)


def unmoved(pins: Iterable[tuple[str, str, str]]) -> bool:
    """Whether every (repository, revision, commit) still holds; False also when a repository is gone."""
    by_repo: dict[str, list[tuple[str, str]]] = {}
    for repo, rev, commit in pins:
        by_repo.setdefault(repo, []).append((rev, commit))
    try:
        return all(
            commits_of(Path(repo), [rev for rev, _ in known]) == [commit for _, commit in known]
            for repo, known in by_repo.items()
        )
    except DiagnosticError:
        return False


def resolve_revision(repo: Path, rev: str) -> str:
    """The full commit sha of a revision; DiagnosticError when the repository or the revision is unknown."""
    git_dir(repo)
    if SHA.fullmatch(rev) and _holds(repo, rev):
        return rev
    good = bool(rev.strip()) and not re.search(r"[\x00-\x1f\x7f]", rev)
    [commit] = commits_of(repo, [rev]) if good else [None]
    if commit is None:
        raise _unknown(repo, rev)
    return commit


@lru_cache(maxsize=256)
def _holds(repo: Path, sha: str) -> bool:
    """Whether a commit is there, asked once: a commit does not go away while a process looks at it."""
    if commits_of(repo, [sha]) == [sha]:
        return True
    raise _unknown(repo, sha)


def _unknown(repo: Path, rev: str) -> DiagnosticError:
    shallow = run_git(repo, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    asked = "refs/heads", "refs/tags", "refs/remotes"
    names = run_git(repo, "for-each-ref", "--format=%(refname:short)", *asked).stdout.decode().split()
    hint = did_you_mean(rev, names) or (f"there are: {', '.join(names[:8])}" if names else "it has no commits")
    what = "revision"
    if SHA.fullmatch(rev):
        what, hint = "commit", "fetch it, or name another"
    if shallow:
        hint = "the clone is shallow: git fetch --unshallow" + (f", or: {hint}" if did_you_mean(rev, names) else "")
    return fail("unknown_revision", f"no {what} '{rev}' in {repo}", found=rev, allowed=tuple(names), hint=hint)


def is_moving(repo: Path, rev: str, commit: str) -> bool:
    """Whether a revision follows a branch or HEAD, rather than a tag or a commit."""
    stem = re.split(r"[~^@]", rev, maxsplit=1)[0]
    if re.fullmatch(r"[0-9a-f]{4,64}", stem) and (stem == rev and commit.startswith(stem)):
        return False
    tag = stem.removeprefix("refs/").removeprefix("tags/")
    return commits_of(repo, [f"refs/tags/{tag}"]) == [None] or stem in ("", "HEAD")


def read_objects(repo: Path, wanted: Sequence[tuple[str, str]]) -> dict[str, bytes]:
    """Path -> bytes of blobs given as (path, object id), by one git process."""
    if not wanted:
        return {}
    answer = run_git(repo, "cat-file", "--batch", stdin="".join(f"{oid}\n" for _, oid in wanted).encode()).stdout
    blobs: dict[str, bytes] = {}
    at = 0
    for path, oid in wanted:
        end = answer.find(b"\n", at)
        header = answer[at:end].split(b" ")
        if end < 0 or len(header) != 3:
            raise fail("bad_git_source", f"git cannot read {oid[:12]} ({path}) in {repo}", hint="is the clone partial?")
        size = int(header[2])
        blobs[path] = answer[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return blobs


def object_sizes(repo: Path, oids: Sequence[str]) -> dict[str, int]:
    """Object id -> bytes of the objects that are there."""
    answer = run_git(repo, "cat-file", "--batch-check", stdin="".join(f"{oid}\n" for oid in oids).encode()).stdout
    words = [line.split(" ") for line in answer.decode().splitlines()]
    return {word[0]: int(word[2]) for word in words if len(word) == 3}
