"""The ranks of one step: started by torchrun from its step file, watched by the worker that holds the key."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import selectors
import signal
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldlc.engine import failure
from mldlc.plan.context import Cancelled

Say = Callable[[str, dict[str, Any]], None]
LOOK = 0.2  # seconds between two looks at the request to stop
SERVER_PATIENCE = 10.0  # seconds that the fork server has to end by itself
LAST_WORDS = 3.0  # seconds that the other ranks have, after the first failed, to tell what they saw


@dataclass(frozen=True)
class RankOrder:
    """All that a rank is told: the step file, the function to call, where to report, and a folder for its files."""

    step: str
    entry: str
    address: str
    work: str


@dataclass
class _Heard:
    """What the ranks said: facts and adopted files of rank 0, errors in the order of their arrival, ranks at an end."""

    done: dict[str, Any] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    lost: list[int] = field(default_factory=list)
    cancelled: bool = False


def launch(
    step: Path, entry: str, preload: Sequence[str], count: int, work: Path, say: Say, cancelled: Callable[[], bool]
) -> dict[str, Any]:
    """Run `entry` in `count` ranks on this machine and give what rank 0 found: {facts, adopted}.

    Ranks are forked from a server that has imported the entry and `preload` once. They die with this process (their
    parent's death signal, and the end of their socket). Raises Cancelled, or failure.Told with what went wrong first.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    address = f"\0mldlc-{uuid.uuid4().hex}"
    listener.bind(address)
    listener.listen(count)
    order = RankOrder(str(step), entry, address, str(work))
    ended: dict[str, Any] = {}
    # in a thread of its own torchrun's agent installs no signal handlers: this process keeps its way to stop
    agent = threading.Thread(target=_agent, args=(order, preload, count, ended), name="torchrun", daemon=True)
    agent.start()
    try:
        heard = _listen(listener, agent, say, cancelled)
    finally:
        listener.close()
        agent.join()
        _stop_server()
    if heard.cancelled:
        raise Cancelled("stopped")
    if "error" in ended or heard.errors or heard.lost:
        raise failure.Told(_verdict(heard, ended))
    return heard.done


def _agent(order: RankOrder, preload: Sequence[str], count: int, ended: dict[str, Any]) -> None:
    """torchrun's elastic agent, until all ranks are at an end."""
    try:
        from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        from mldlc.engine import rank

        # its one warning is about the handlers, see `launch`; what ranks die of is told by `_verdict`
        logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # else imports start CUDA, which no fork survives
        multiprocessing.set_forkserver_preload([rank.__name__, order.entry.partition(":")[0], *preload])
        known = LaunchConfig.__dataclass_fields__  # torch 2.11 has no such key, and waits for thirty seconds
        patience: dict[str, Any] = {"shutdown_timeout": 5} if "shutdown_timeout" in known else {}
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=count, run_id=uuid.uuid4().hex, rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0", local_addr="127.0.0.1", max_restarts=0, monitor_interval=0.1,
            start_method="forkserver", **patience,
            logs_specs=DefaultLogsSpecs(log_dir=str(Path(order.work) / "torchrun")),
        )  # fmt: skip
        elastic_launch(config, rank.serve)(order)
    except BaseException as error:
        ended["error"] = error


def _stop_server() -> None:
    """End the fork server, which would hold the memory of all its imports as long as this process lives.

    It ends by itself when no process that it forked is left, nor one of theirs; what is left then after a while would
    hold up this one, so the server is killed, and ranks die with it.
    """
    server = multiprocessing.forkserver._forkserver  # type: ignore[attr-defined]
    pid = getattr(server, "_forkserver_pid", None)
    if pid is None:
        return
    handle = os.pidfd_open(pid)
    killer = threading.Timer(SERVER_PATIENCE, signal.pidfd_send_signal, (handle, signal.SIGKILL))
    killer.daemon = True
    killer.start()
    try:
        server._stop()
    finally:
        killer.cancel()
        killer.join()
        os.close(handle)


def _listen(listener: socket.socket, agent: threading.Thread, say: Say, cancelled: Callable[[], bool]) -> _Heard:
    """Pass on what rank 0 says and the request to stop, until the agent is at an end."""
    heard, told, deadline = _Heard(), False, float("inf")
    buffers: dict[socket.socket, bytes] = {}
    names: dict[socket.socket, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while agent.is_alive() or buffers:
            for chosen, _ in selector.select(LOOK):
                link = chosen.fileobj
                assert isinstance(link, socket.socket)
                if link is listener:
                    _accept(listener, selector, buffers)
                elif not _receive(link, buffers, names, heard, say):
                    selector.unregister(link)
                    link.close()
                    buffers.pop(link)
            if not told and cancelled():
                told = True
                for link in buffers:
                    with contextlib.suppress(OSError):
                        link.sendall(b"stop\n")
            if (heard.errors or heard.lost) and deadline == float("inf"):
                deadline = time.monotonic() + LAST_WORDS
            if time.monotonic() > deadline:
                for link in buffers:  # a rank whose socket ends, ends
                    with contextlib.suppress(OSError):
                        link.shutdown(socket.SHUT_RDWR)
    return heard


def _accept(listener: socket.socket, selector: selectors.BaseSelector, buffers: dict[socket.socket, bytes]) -> None:
    """A rank reports; a process of another user does not get in."""
    link, _ = listener.accept()
    _, user, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if user != os.getuid():
        link.close()
        return
    buffers[link] = b""
    selector.register(link, selectors.EVENT_READ)


def _receive(
    link: socket.socket, buffers: dict[socket.socket, bytes], names: dict[socket.socket, int], heard: _Heard, say: Say
) -> bool:
    """Take in the whole lines that came; False when the rank has gone."""
    try:
        data = link.recv(1 << 18)
    except ConnectionError:
        data = b""
    if not data:
        number = names.get(link)
        if number is not None and number not in heard.ended:
            heard.lost.append(number)
        return False
    *lines, buffers[link] = (buffers[link] + data).split(b"\n")
    for line in lines:
        told = json.loads(line)
        names[link] = told["rank"]
        match told["say"]:
            case "hello":
                continue
            case "done" | "stopped" | "error":
                heard.ended.add(told["rank"])
                if told["say"] == "error":
                    heard.errors.append(told["data"] | {"rank": told["rank"]})
                elif told["say"] == "stopped":
                    heard.cancelled = True
                elif told["rank"] == 0:
                    heard.done = told["data"]
            case kind:
                say(kind, told["data"])
    return True


def _verdict(heard: _Heard, ended: dict[str, Any]) -> dict[str, Any]:
    """The failure that came first. A rank that vanished is the cause of what the others then stumble over."""
    failures = getattr(ended.get("error"), "failures", {})
    clear = next((error for error in heard.errors if error["type"] == "StepError"), None)
    if clear is not None:
        return {name: value for name, value in clear.items() if name != "rank"}
    if heard.lost or not heard.errors:
        number = heard.lost[0] if heard.lost else next(iter(failures), None)
        found = failures.get(number)
        code = found.exitcode if found is not None else -signal.SIGKILL
        if number is None:
            return failure.describe(ended["error"], Path(), 0, {})
        return failure.killed(code, 0, "the log of the step", f"rank {number}")
    first = heard.errors[0]
    return {name: value for name, value in first.items() if name != "rank"} | {
        "message": f"rank {first['rank']}: {first['message']}"
    }
