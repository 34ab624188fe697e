"""What tests of training share: the user's own package, and one fork server for all launches of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training import ranked


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's package is a code root."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "kit"))


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """One fork server for all launches of a file: the heavy imports happen once."""
    with ranked.one_server():
        yield
