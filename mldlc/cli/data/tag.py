"""List tags, make one at a ref (main), or delete one with -d. A tag never moves: delete it to make it elsewhere."""

from __future__ import annotations

import argparse

from mldlc.cli.data.names import name_arguments, run_names
from mldlc.cli.data.refusals import reported


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data tag`."""
    name_arguments(parser, "tag")


@reported("data.tag")
def run(args: argparse.Namespace) -> int:
    """List, make or delete."""
    return run_names(args, "tag")
