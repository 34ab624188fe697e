"""List branches, make one at a ref (main), or delete one with -d. A branch costs nothing: no file is copied."""

from __future__ import annotations

import argparse

from mldlc.cli.data.names import name_arguments, run_names
from mldlc.cli.data.refusals import reported


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data branch`."""
    name_arguments(parser, "branch")


@reported("data.branch")
def run(args: argparse.Namespace) -> int:
    """List, make or delete."""
    return run_names(args, "branch")
