"""`python -m tests.bench [--quick]`: every benchmark, one after another; RESULTS.md keeps the tables."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys

from tests.bench import (
    cli,
    compose,
    csv_errors,
    engine_nodes,
    imports,
    loader_speed,
    partitions,
    profile_speed,
    store_records,
    sweep_compose,
    sweeps,
    tabular,
    version_store,
    version_trees,
)
from tests.bench.results import keep

PRINTED = {
    "Faults of a CSV file beside a plain Polars read": csv_errors,
    "Composition beside bare Hydra": compose,
    "Points of a sweep beside stock Hydra composing each job": sweep_compose,
    "Inline nodes, µs a node": engine_nodes,
    "Loaders beside the bare permuted loop and bare readers": loader_speed,
    "Changed partitions beside a fresh store": partitions,
    "Profile beside stock whylogs and Polars describe": profile_speed,
    "Records and trees beside bare syscalls": store_records,
    "A million entries under version beside their columns": version_trees,
}


def main() -> None:
    """Run all; one that fails is told and does not stop the others."""
    quick = "--quick" in sys.argv
    sys.argv = sys.argv[:1]
    cli.main(quick)
    imports.main()
    tabular.main(quick)
    version_store.main(quick)
    sweeps.main(quick)
    for title, module in PRINTED.items():
        if module is profile_speed and not importlib.util.find_spec("pandas"):
            print(f"{title}: left as it is, stock whylogs needs pandas here", flush=True)
            continue
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                module.main()
        except Exception as error:  # the others are still worth measuring
            printed.write(f"\nfailed: {type(error).__name__}: {error}\n")
        keep(title, f"```\n{printed.getvalue().strip()}\n```")


if __name__ == "__main__":
    main()
