"""Answer a waiting gate with no. The run that asks again ends with status `rejected`."""

from __future__ import annotations

import argparse

from mldlc.cli.approve import answer, arguments

__all__ = ["arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Write the rejection."""
    return answer(args, "reject")
