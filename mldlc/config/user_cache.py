"""The user's cache: what outlives a project's outputs. Safe to delete; a folder that cannot be written costs time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """MLDLC_CACHE, else `mldlc` in XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get("MLDLC_CACHE")
    above = os.environ.get("XDG_CACHE_HOME")
    return Path(own).absolute() if own else (Path(above) if above else Path.home() / ".cache") / "mldlc"
