"""A config repository under git, with a remote that names a password."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(root: Path, *args: str) -> str:
    """Run git in a folder as somebody; its output."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(root), *who, *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def committed(root: Path) -> str:
    """Put configs and code of a project under git; the revision."""
    git(root, "init", "-q")
    git(root, "add", "conf", "src", "mldlc.yaml")
    git(root, "commit", "-qm", "one")
    git(root, "remote", "add", "origin", "https://user:s3cret@git.example.org/team/chain.git")
    return git(root, "rev-parse", "HEAD")
