"""The fork server of the ranks ends in any case: also when something that a rank started still holds it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import time
from pathlib import Path

import pytest

from mldlc.engine import ranks


def _leave_one_behind(file: str) -> None:
    """A process of this one that outlives it, with all files that this one had open."""
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    Path(file).write_text(str(pid))


def test_a_held_fork_server_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "SERVER_PATIENCE", 0.2)
    ranks._stop_server()
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([])
    process = forks.Process(target=_leave_one_behind, args=(str(tmp_path / "pid"),))
    process.start()
    process.join()
    left = int((tmp_path / "pid").read_text())
    try:
        server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        ranks._stop_server()  # without its end it would wait for the one left behind
        os.kill(left, 0)
        with pytest.raises(ProcessLookupError):
            os.kill(server, 0)
    finally:
        os.kill(left, signal.SIGKILL)
