"""A bar on stderr while files move, on a terminal only; it is gone when the work is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Report = Callable[[int, int], None]  # done, in all


@contextmanager
def bar(text: str, unit: Literal["bytes", "objects"]) -> Iterator[Report]:
    """What to call with (done, in all); restores the terminal at the end."""
    if not on_terminal():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    counter = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(24), counter, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def on_terminal() -> bool:
    """Whether anybody sees a bar."""
    return sys.stderr.isatty()
