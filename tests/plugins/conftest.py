"""Plugins as a user has them: wheels, built and installed without a network, in a folder of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Install a plugin by its folder's name; the folder to put on the path."""
    made: dict[str, Path] = {}

    def installed(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                *offline,
                "--target",
                str(made[name]),
                str(PLUGINS / name),
            ]
            subprocess.run(command, check=True)
        return made[name]

    return installed
