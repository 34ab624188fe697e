"""An interactive shell at a terminal: what somebody types, with Tabs, and what the command then gets."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(mldlc completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit; compinit -D -u; eval "$(mldlc completion zsh)"'),
}


def typed(shell: str, keys: str, folder: Path) -> list[str]:
    """The arguments that `mldlc` gets when `keys` are typed at a prompt of bash or zsh ("\\t" is a Tab)."""
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    command = tools / "mldlc"
    command.write_text(
        f'#!/bin/sh\nif [ "$1" = completion ]; then exec {sys.executable} -m mldlc "$@"; fi\n'
        'printf "GOT"; printf "<%s>" "$@"; printf "END\\n"\n'
    )
    command.chmod(0o755)
    program, setup = START[shell]
    ours, theirs = pty.openpty()
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "% "}
    process = subprocess.Popen(
        program, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=env, start_new_session=True
    )
    os.close(theirs)
    try:
        os.write(ours, f"{setup}; printf 'REA''DY\\n'\n".encode())
        until(ours, r"READY")
        os.write(ours, f"{keys}\n".encode())
        found = until(ours, r"GOT(<.*?>)END")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return re.findall(r"<(.*?)>", found)


def on_a_terminal(folder: Path, *args: str) -> str:
    """All that `mldlc data ...` shows on a terminal; it must end well."""
    ours, theirs = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "CI")} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "mldlc", "data", *args]
    process = subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    assert process.wait() == 0, shown
    os.close(ours)
    return shown.decode()


def until(terminal: int, pattern: str) -> str:
    """Read until the pattern appears; its first group, or all of it. AssertionError with what was read in five minutes."""
    seen, end = "", time.monotonic() + 300
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 65536).decode(errors="replace")
            match = re.search(pattern, seen)
            if match:
                return match[match.lastindex or 0]
    raise AssertionError(f"no {pattern!r} in {seen!r}")
