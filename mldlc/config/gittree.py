"""Config files of a git revision, read with plain git: `git://<rev>:<dir>@<repository>`; nothing is checked out."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mldlc.config.tree import Ledger, decode
from mldlc.plan.diagnostic import DiagnosticError, Location, fail

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ADDRESS = re.compile(r"git://(?P<rev>[^:]+):(?P<dir>[^@]*)@(?P<repo>.+)")
_LFS = b"version https://git-lfs.github.com/spec/"
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}


@dataclass(frozen=True)
class GitAddress:
    """A parsed `git://<rev>:<dir>@<repository>`; `repo` is absolute, `dir` is "" for the top of the repository."""

    rev: str
    dir: str
    repo: Path

    def __str__(self) -> str:
        return f"git://{self.rev}:{self.dir}@{self.repo}"


def parse_address(text: str, root: Path) -> GitAddress:
    """Parse a git config source; a relative repository starts at `root`. DiagnosticError on a bad address."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        hint = "expected git://<revision>:<folder>@<path of the repository>"
        raise fail("bad_git_source", f"'{text}' is not a git config source", hint=hint)
    folder = posixpath.normpath(match["dir"]) if match["dir"] else ""
    if folder.startswith(("..", "/")) or ".." in match["dir"].split("/"):
        raise fail(
            "bad_git_source", f"the folder of '{text}' leaves the repository", hint="write it without '..' or '/'"
        )
    if re.match(r"[a-z+]+://|[^/]+@[^/]+:", match["repo"]):
        hint = "clone it first and name the clone: a plan reads nothing from the network"
        raise fail("bad_git_source", f"'{text}' names a remote repository", hint=hint)
    return GitAddress(match["rev"], "" if folder == "." else folder, Path(os.path.normpath(root / match["repo"])))


def run_git(repo: Path, *args: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a read-only git command without hooks, prompts or network."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never", "-C", str(repo), *args]
    env = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")} | _QUIET
    try:
        return subprocess.run(command, input=stdin, capture_output=True, env=env, check=False)
    except FileNotFoundError as error:
        message = "git is not installed" if Path(repo).is_dir() else f"no repository at {repo}"
        raise fail("bad_git_source", message) from error


def resolve_revision(repo: Path, rev: str) -> str:
    """The full commit sha of a revision; DiagnosticError when the repository or the revision is unknown."""
    if not repo.is_dir() or run_git(repo, "rev-parse", "--git-dir").returncode:
        raise fail("bad_git_source", f"no git repository at {repo}")
    if _SHA.fullmatch(rev) and run_git(repo, "cat-file", "-e", f"{rev}^{{commit}}").returncode == 0:
        return rev
    done = run_git(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
    if done.returncode:
        names = (
            run_git(repo, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
            .stdout.decode()
            .split()
        )
        from mldlc.plan.diagnostic import did_you_mean

        hint = did_you_mean(rev, names) or (f"there are: {', '.join(names[:8])}" if names else "it has no commits")
        raise fail("unknown_revision", f"no revision '{rev}' in {repo}", found=rev, allowed=tuple(names), hint=hint)
    return done.stdout.decode().strip()


class GitTree:
    """Config files under a folder of one commit. `.yaml` blobs are fetched at once, on the first read."""

    def __init__(self, address: GitAddress, ledger: Ledger | None = None, label: str = "") -> None:
        self.address = address
        self.label = label or str(address)
        self.commit = resolve_revision(address.repo, address.rev)
        if ledger is not None and self.commit != address.rev:
            ledger.refs[f"{address.rev}@{address.repo}"] = self.commit
        self._entries, self._blobs = _load(str(address.repo), self.commit, address.dir)
        self._dirs = {parent for path in self._entries for parent in _parents(path)}

    @property
    def available(self) -> bool:
        """Always: a missing folder is an error when the tree is opened."""
        return True

    def read(self, path: str) -> str | None:
        """Text of a file, None when there is none; an error for what git keeps elsewhere (LFS, submodules, links)."""
        path, mode = self._follow(posixpath.normpath(path), path)
        if mode is None:
            return None
        data = self._blobs.get(path)
        if data is None:
            done = run_git(
                self.address.repo, "cat-file", "blob", f"{self.commit}:{posixpath.join(self.address.dir, path)}"
            )
            data = done.stdout
        if data.startswith(_LFS):
            raise self._unfit(path, "is a Git LFS pointer, its text is not in the repository")
        return decode(data, self.where(path))

    def is_file(self, path: str) -> bool:
        """Whether `path` is a file (or a link to one inside the folder)."""
        mode = self._entries.get(posixpath.normpath(path))
        return mode is not None and mode != "160000"

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a folder."""
        path = posixpath.normpath(path) if path else ""
        if self._entries.get(path) == "160000":
            raise self._unfit(path, "is a submodule, its files are in another repository")
        return path in ("", ".") or path in self._dirs

    def names(self, path: str) -> list[str]:
        """Names in a folder, sorted."""
        prefix = "" if path in ("", ".") else posixpath.normpath(path) + "/"
        return sorted({p[len(prefix) :].split("/", 1)[0] for p in self._entries if p.startswith(prefix)})

    def where(self, path: str) -> str:
        """The name of a file in messages: the address with the file appended."""
        return f"{self.label}/{path}"

    def _follow(self, path: str, asked: str) -> tuple[str, str | None]:
        for _ in range(8):
            if path.startswith("../"):
                raise self._unfit(asked, "leaves the folder of the config source")
            mode = self._entries.get(path)
            if mode != "120000":
                return path, mode
            target = self._blobs.get(path, b"").decode("utf-8", "replace")
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if target.startswith("/") or path.startswith("../"):
                raise self._unfit(asked, f"is a symbolic link out of the config source (to '{target}')")
        raise self._unfit(asked, "is a loop of symbolic links")

    def _unfit(self, path: str, message: str) -> DiagnosticError:
        return fail("bad_git_source", message, where=Location(self.where(path)))


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


@lru_cache(maxsize=64)
def _load(repo: str, commit: str, folder: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """Entries (path -> mode) and blobs of the YAML files and links under a folder of a commit."""
    done = run_git(Path(repo), "ls-tree", "-r", "-z", "--full-tree", f"{commit}:{folder}")
    if done.returncode:
        raise fail("bad_git_source", f"no folder '{folder}' in {repo} at {commit[:12]}")
    entries: dict[str, str] = {}
    wanted: list[tuple[str, str]] = []
    for line in done.stdout.split(b"\0")[:-1]:
        facts, _, raw = line.partition(b"\t")
        mode, _, oid = facts.decode().split(" ")
        path = raw.decode("utf-8", "surrogateescape")
        entries[path] = mode
        if mode == "120000" or (mode != "160000" and path.endswith(".yaml")):
            wanted.append((path, oid))
    return entries, _blobs(Path(repo), wanted)


def _blobs(repo: Path, wanted: list[tuple[str, str]]) -> dict[str, bytes]:
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
