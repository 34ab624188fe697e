"""Who wrote a config value: every writer in order, file:line, the winner marked."""

from __future__ import annotations

import argparse

from mldlc.cli.frame import config_arguments, emit, name_of_subject, request_from
from mldlc.plan.codec import encode
from mldlc.plan.diagnostic import DiagnosticError, did_you_mean, fail


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc explain`."""
    parser.add_argument("key", help="a config key, e.g. trainer.max_epochs, or a group")
    config_arguments(parser, selection=False)


def run(args: argparse.Namespace) -> int:
    """Print the writers of the key (of every key below it, for a group)."""
    name_of_subject(args, "key")
    from mldlc.config.compose import Request, compose
    from mldlc.config.lock import unpinned

    request = Request(args.config_name, tuple(args.overrides), args.multirun, args.config_dir)
    composition = compose(request_from(args).project, request)
    if args.locked and (loose := unpinned(composition.pins)):
        raise DiagnosticError(loose)
    for point in composition.points:
        provenance = point.provenance
        every = provenance.keys()
        keys = [key for key in every if key == args.key or key.startswith(f"{args.key}.")]
        if not keys:
            raise fail(
                "unknown_key",
                f"command line: the config has no key '{args.key}'",
                hint=did_you_mean(args.key, every) or "see mldlc --cfg job",
            )
        if args.multirun and not args.json:
            print(f"# {' '.join(point.overrides) or 'point 0'}")
        for key in keys:
            writers = provenance.writers(key)
            if args.json:
                emit({"type": "explain", "key": key, "writers": [encode(writer) for writer in writers]})
            else:
                print("\n".join(_lines(key, writers)))
    if args.json:
        emit({"format": "mldlc.explain/1", "key": args.key, "refs": composition.refs})
    else:
        for pin in composition.pins:
            if pin.rev != pin.commit:
                print(f"# {pin.commit[:7]} is {pin.rev} of {pin.name}{' (mldlc.lock)' if pin.locked else ''}")
    return 0


def _lines(key: str, writers: list[object]) -> list[str]:
    out = [key]
    width = max([len(str(w.where)) for w in writers] + [0])  # type: ignore[attr-defined]
    for number, writer in enumerate(writers):
        mark = "->" if number == len(writers) - 1 else "  "
        out.append(f"  {mark} {writer.where!s:<{width}}  {_value(writer.value)}")  # type: ignore[attr-defined]
    return out


def _value(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
