"""What `trainer.compile` needs of a machine. Light: asked by plan and worker."""

from __future__ import annotations

import os
import shutil
import sys

from mldlc.plan.context import StepError


def missing_compiler() -> StepError | None:
    """What a training with `trainer.compile` would stop at: torch writes C++ and compiles it as it goes."""
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name):
        return None
    return StepError(
        f"trainer.compile needs a C++ compiler, and there is no '{name}' here", where="trainer.compile",
        hint="install one (apt install g++), name another one in CXX, or set it to false",
    )  # fmt: skip
