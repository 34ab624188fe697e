"""Print the script that gives a shell tab completion of verbs, flags, groups, options, keys, values, stages and runs.

bash   eval "$(mldlc completion bash)"             in ~/.bashrc
zsh    eval "$(mldlc completion zsh)"              in ~/.zshrc, after compinit
fish   mldlc completion fish | source              in ~/.config/fish/config.fish
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

SHELLS = ("bash", "zsh", "fish")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc completion`."""
    parser.add_argument("shell", choices=SHELLS, help="whose script")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The script of a shell: it asks `mldlc completion --answer` for every Tab."""
    return Path(__file__).with_name(f"mldlc.{shell}").read_text("utf-8").rstrip()
