"""Why a stage would run or not: every part of its recipe and key, and which one moved since the last run."""

from __future__ import annotations

import argparse

from mldlc.cli.frame import compile_from, config_arguments, emit, name_of_subject
from mldlc.plan.codec import encode, flatten
from mldlc.plan.diagnostic import did_you_mean, fail
from mldlc.plan.plan import Plan
from mldlc.plan.step import Step


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc why`."""
    parser.add_argument("stage", help="a stage of the plan")
    config_arguments(parser, selection=False)


def run(args: argparse.Namespace) -> int:
    """Print the parts of the stage's step(s)."""
    name_of_subject(args, "stage")
    plan = compile_from(args)
    steps = [step for step in plan.steps if args.stage in (step.stage, step.id)]
    if not steps:
        stages = sorted({step.stage for step in plan.steps})
        hint = did_you_mean(args.stage, stages) or f"stages: {', '.join(stages)}"
        raise fail("unknown_stage", f"command line: no stage '{args.stage}'", hint=hint)
    for step in steps:
        if args.json:
            emit(
                {
                    "type": "why",
                    "step": encode(step),
                    "code": plan.blobs.get(step.code),
                    "config": plan.blobs[step.identity],
                }
            )
        else:
            print("\n".join(parts(plan, step)))
    if args.json:
        emit({"format": "mldlc.why/1", "plan": plan.id, "stage": args.stage, "steps": len(steps)})
    return 0


def parts(plan: Plan, step: Step) -> list[str]:
    """The parts of recipe and key as lines; a moved part is marked with ~."""
    moved = {reason.code for reason in step.reasons}

    def row(name: str, value: str, *codes: str) -> str:
        return f"  {'~' if moved & set(codes) else ' '} {name:<10}{value}"

    by_id = plan.by_id()
    out = [f"{step.id}: {step.action}" + (" (evicted)" if step.evicted else "")]
    out += [f"    {reason.text()}" for reason in step.reasons] or [
        "    nothing moved: the record of its key is in the store"
    ]
    out.append(f"recipe {step.recipe[:16]}")
    out.append(row("kind", f"{step.kind} version {step.version}", "version_changed"))
    files = plan.blobs.get(step.code, {})
    out.append(row("code", f"{step.code[:12]}  {len(files)} files: {', '.join(files)}", "code_changed"))
    out.append(row("config", f"{step.identity[:12]}", "param_changed"))
    changed = {reason.path: reason for reason in step.reasons if reason.code == "param_changed"}
    for formal_path, value in sorted(flatten(plan.blobs[step.identity]).items()):
        formal, dot, rest = formal_path.partition(".")
        path = step.groups.get(formal, formal) + dot + rest
        mark = "~" if path in changed else " "
        was = f"   (was {changed[path].old})" if path in changed else ""
        out.append(f"  {mark}   {path} = {value}{was}")
    out.append(f"key {(step.key or 'known after its inputs')[:16] if step.key else 'known after its inputs'}")
    for port, item in step.inputs.items():
        for ref in item.refs:
            found = by_id[ref.step].digests.get(ref.port)
            out.append(
                row(
                    "input",
                    f"{port} <- {ref.step}.{ref.port}  {(found or 'not known yet')[:16]}",
                    "input_changed",
                    "rewired",
                )
            )
    for source in step.sources:
        token = (source.token or "not hashed yet")[:16]
        out.append(row("source", f"{source.name} ({source.identity})  {token}", "source_changed", "unhashed"))
    for name, version in step.packages.items():
        out.append(row("package", f"{name} {version}", "env_changed"))
    return out
