"""Which rows, code, config and environment an artifact came from; with --down, what came from it.

An artifact is named by a stage of the latest run, a run, run:stage, the first digits of a digest, key or commit, or a
place in versioned data: store://<ref>/<path>. --openlineage gives a run's events for a lineage service.
"""

from __future__ import annotations

import argparse
import sys

from mldlc.cli.frame import emit, outputs_argument, outputs_of
from mldlc.cli.views.style import coloured
from mldlc.plan.codec import encode


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc lineage`."""
    parser.add_argument("what", nargs="?", default="latest", help="stage, run, run:stage, digest or store:// address")
    parser.add_argument("--down", action="store_true", help="what came from it, instead of what it came from")
    parser.add_argument("--all", action="store_true", help="every config value and module, not only what was set")
    parser.add_argument("--openlineage", action="store_true", help="OpenLineage events of a run (NDJSON)")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")
    outputs_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the lineage; exit code 0."""
    outputs = outputs_of(args)
    if args.openlineage:
        from mldlc.loop.openlineage import run_events, to_lines

        sys.stdout.write(to_lines(run_events(outputs, args.what)))
        return 0
    from mldlc.cli.views.lineage_text import commit_lines, lines
    from mldlc.loop.lineage import downstream, upstream
    from mldlc.loop.subject import find_subject

    subject = find_subject(args.what, outputs)
    found = (downstream if args.down else upstream)(subject.index, subject.digests)
    if args.json:
        for artifact in found.artifacts.values():
            facts = encode(artifact)
            emit({"type": "artifact", "artifact_type": facts.pop("type", ""), **facts})
        for action in found.actions.values():
            emit({"type": "action", **encode(action)})
        for effect in found.effects:
            emit({"type": "effect", **encode(effect)})
        emit({
            "format": "mldlc.lineage/1", "subject": subject.text, "down": args.down, "roots": list(found.roots),
            "artifacts": len(found.artifacts), "actions": len(found.actions), "effects": len(found.effects),
            "missing": list(found.missing), "commit": subject.commit or None, "put": list(subject.put),
        })  # fmt: skip
        return 0
    if subject.commit:
        print("\n".join(commit_lines(subject.commit, subject.put, coloured())))
    if found.roots:
        print("\n".join(lines(found, coloured(), args.all)))
    return 0
