"""What a run keeps so that it can be made again: the code's revision and local changes, config files, the environment.

Written beside the run, while it runs and only when something executes: `pins.json`, `environment.txt`, `code.patch`.
A run that reuses everything points at the runs that made its artifacts, and those have pins.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import mldlc
from mldlc.config.gittree import parse_address
from mldlc.config.project import shipped_conf
from mldlc.config.tree import digest as file_digest
from mldlc.engine.files import write_atomic
from mldlc.plan.codec import digest
from mldlc.plan.plan import Plan

FORMAT = "mldlc.pins/1"
FILE = "pins.json"
PATCH = "code.patch"
ENVIRONMENT = "environment.txt"
MOST_PATCH = 16 << 20  # bytes; a larger difference to git is data in the wrong place, and is named instead of kept
PATIENCE = 60.0  # seconds for one git command


class Pinning(threading.Thread):
    """Writes the pins of a run beside it; `finish` waits for it. What could not be written is told in `problem`."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        super().__init__(name="pins", daemon=True)
        self.plan, self.folder, self.problem = plan, folder, ""
        self.start()

    def run(self) -> None:
        try:
            write_pins(self.plan, self.folder)
        except (OSError, subprocess.SubprocessError) as error:
            self.problem = f"the run's pins are not complete: {error}"

    def finish(self) -> str:
        """Wait for the end; the problem, "" when there was none."""
        self.join()
        return self.problem


def write_pins(plan: Plan, folder: Path) -> dict[str, Any]:
    """Write the three files; what went into `pins.json`."""
    lock = environment()
    write_atomic(folder / ENVIRONMENT, "".join(f"{item}\n" for item in lock).encode(), sync=False)
    git: dict[str, str] = {}
    if plan.snapshot.git.get("rev") and shutil.which("git"):
        try:
            git, patch = _git_state(plan)
        except (OSError, ValueError, subprocess.SubprocessError) as error:  # the frozen copy of the code stands
            git, patch = {"rev": plan.snapshot.git["rev"], "dirty": f"unknown: {error}"}, b""
        if patch:
            write_atomic(folder / PATCH, patch, sync=False)
    body = {
        "format": FORMAT, "mldlc": mldlc.__version__, "python": plan.snapshot.python, "git": git,
        "environment": digest(lock), "code": plan.snapshot.code, "config": _config(plan),
    }  # fmt: skip
    write_atomic(folder / FILE, json.dumps(body, ensure_ascii=False).encode(), sync=False)
    return body


def read_pins(folder: Path) -> dict[str, Any]:
    """The pins of a run; {} when it has none."""
    try:
        found = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("format") == FORMAT else {}


def environment() -> list[str]:
    """`name==version` of every installed distribution, by the names of their folders on the Python path; sorted."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = [entry.name for entry in os.scandir(folder or ".")]
        except OSError:
            continue
        for name in names:
            part = re.fullmatch(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist-info|egg-info)", name)
            if part:
                found.setdefault(part[1].lower().replace("_", "-"), part[2])
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _config(plan: Plan) -> dict[str, str]:
    """Text of the project's own config files, as they were read; those of mldlc itself come with its version."""
    shipped = str(shipped_conf())
    out = {}
    for name, known in plan.config.files.items():
        if name.endswith("/") or name.startswith((shipped, "git://")):
            continue
        try:
            data = Path(name).read_bytes()
            if file_digest(data) == known:
                out[name] = data.decode()
        except (OSError, UnicodeDecodeError):
            continue  # changed since it was read: the composed config in the plan stands
    return out


def _git_state(plan: Plan) -> tuple[dict[str, str], bytes]:
    """{rev, url, prefix, dirty} and the patch from `rev` to the files as they are, new files of the project included.

    Nothing is written to the repository: the difference goes over a temporary index and object folder.
    """
    if plan.config.rev:
        return _committed_state(plan.config.rev), b""
    root, rev = plan.config.root, plan.snapshot.git["rev"]
    told = git(root, "rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-path", "index", "--show-prefix")
    top, folder, index, *rest = told.decode().splitlines()
    objects = git(root, "rev-parse", "--git-path", "objects").decode().strip()
    url = git(root, "config", "--get", "remote.origin.url", strict=False).decode().strip()
    state = {"rev": rev, "url": web_url(url), "prefix": rest[0] if rest else "", "dirty": ""}
    state = {key: value for key, value in state.items() if value}
    with tempfile.TemporaryDirectory(prefix="mldlc-pins-") as temp:
        copy, store = Path(temp, "index"), Path(temp, "objects")
        store.mkdir()
        if Path(root, index).exists():
            shutil.copy(Path(root, index), copy)
        alternate = {
            "GIT_INDEX_FILE": str(copy), "GIT_OBJECT_DIRECTORY": str(store),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(Path(root, objects).resolve()), "GIT_DIR": folder,
            "GIT_WORK_TREE": top,
        }  # fmt: skip
        git(top, "add", "-u", "--", ".", env=alternate, strict=False)
        for place in _project_places(plan, Path(top)):
            git(top, "add", "-A", "--", place, env=alternate, strict=False)  # an ignored place stays out
        patch = git(
            top, "diff", "--cached", "--binary", "--full-index", "--no-color", "--no-ext-diff", rev, env=alternate
        )
    if len(patch) > MOST_PATCH:
        return {**state, "dirty": f"too large to keep: {len(patch)} bytes"}, b""
    return ({**state, "dirty": digest(patch.decode("latin-1"))}, patch) if patch else (state, b"")


def _committed_state(address: str) -> dict[str, str]:
    """As `_git_state`, of a plan that was read from git alone: the work tree has no part in it."""
    at = parse_address(address, Path("/"))
    url = git(at.repo, "config", "--get", "remote.origin.url", strict=False).decode().strip()
    state = {"rev": at.rev, "url": web_url(url), "prefix": f"{at.dir}/" if at.dir else ""}
    return {key: value for key, value in state.items() if value}


def _project_places(plan: Plan, top: Path) -> list[str]:
    """Code roots and folders of config files inside the repository: where a new, not yet added file matters."""
    files = [Path(name).parent for name in plan.config.files if not name.startswith("git://")]
    root = Path(plan.config.root)
    manifest = [root / "mldlc.yaml"] if (root / "mldlc.yaml").exists() else []
    inside = {path for path in [*map(Path, plan.snapshot.code), *files] if path.is_relative_to(top) and path != root}
    highest = {path for path in inside if not any(other in path.parents for other in inside)}
    return sorted(str(path) for path in [*highest, *manifest] if path.exists())


def git(folder: str | Path, *args: str, env: dict[str, str] | None = None, strict: bool = True) -> bytes:
    """Standard output of a git command in a folder. OSError with git's last line when it fails and `strict` is set."""
    whole = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", **(env or {})}
    done = subprocess.run(
        ["git", "-c", "core.safecrlf=false", *args], cwd=folder, env=whole, capture_output=True, timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode and strict:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["failed"])[-1]
        raise OSError(f"git {args[0]}: {last}")
    return done.stdout if not done.returncode else b""


def web_url(url: str) -> str:
    """A remote as an https address without credentials; "" for a remote that is a folder."""
    found = re.fullmatch(r"(?:https?://|ssh://)(?:[^/@]*@)?([^/:]+)(?::\d+)?/(.+)", url) or re.fullmatch(
        r"[^/@]+@([^/:]+):(.+)", url
    )
    return f"https://{found[1]}/{found[2].removesuffix('.git').strip('/')}" if found else ""
