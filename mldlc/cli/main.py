"""argv -> verb -> view. Imports nothing until the verb is known; every failure ends as text, JSON and an exit code."""

from __future__ import annotations

import sys

VERBS = {
    "init": "write a config repository of your own that runs at once, offline",
    "plan": "what would run, and why; executes nothing",
    "run": "execute a plan: only what changed",
    "why": "why a stage would run, part by part",
    "explain": "who wrote a config value: every writer, file:line",
    "graph": "the plan as a graph: text or Mermaid",
    "diff": "compare two plans, two runs or two git revisions of the config",
    "lock": "pin the moving git revisions of the config in mldlc.lock",
    "lineage": "which rows, code, config and environment an artifact came from",
    "reproduce": "run a run again from its pins and compare digests",
    "show": "one run, live or ended",
    "ls": "runs, sweeps, groups or kinds",
    "approve": "answer a waiting gate: yes",
    "reject": "answer a waiting gate: no",
    "data": "versioned data: put, get, ls, log, diff, tag, branch, merge, revert; verify, gc",
    "doctor": "check this installation and project",
    "completion": "tab completion for bash, zsh or fish",
}
DELEGATED = ("--cfg", "-c", "--info", "-i", "--hydra-help")


def main(argv: list[str] | None = None) -> int:
    """Entry point of the `mldlc` command; gives the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        from mldlc.cli.views.stream import open_standard_streams

        open_standard_streams()
    if not args or args[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if args[0] in ("--version", "-V", "version"):
        import mldlc

        print(f"mldlc {mldlc.__version__}")
        return 0
    verb, rest = args[0], args[1:]
    if rest[:1] == ["--answer"] and verb == "completion":
        from mldlc.cli.completion.answer import main as answer

        return answer(rest[1:])
    if {"-sc", "--shell-completion"} & set(args) and (verb in ("plan", "run") or verb not in VERBS):
        from mldlc.cli.completion import hydra

        return hydra.run(rest if verb in VERBS else args)
    if any(item.split("=")[0] in DELEGATED for item in args) and (verb in ("plan", "run") or verb not in VERBS):
        from mldlc.cli.frame import delegated

        return delegated(rest if verb in VERBS else args)
    if verb not in VERBS:
        return _unknown(args)
    from mldlc.cli.frame import call

    return call(verb, rest)


def help_text() -> str:
    """The text of `mldlc --help`."""
    rows = "\n".join(f"  {name:<12}{text}" for name, text in VERBS.items())
    return f"""usage: mldlc VERB [overrides] [flags]

The life of a model as one config, compiled to a plan you can read before it runs.

{rows}

Overrides are Hydra's: group=option, key.path=value, +new=1, ~drop; -m sweeps.
`mldlc VERB --help` explains a verb; `mldlc --cfg job`, `--info`, `--hydra-help` are Hydra's own.
Exit codes: 0 ok, 1 failed or rejected, 2 config error or stale plan, 3 waiting at a gate,
4 changes (plan --detailed-exitcode), 130/143 stopped and resumable."""


def _unknown(args: list[str]) -> int:
    import shlex

    from mldlc.plan.diagnostic import nearest

    verb = args[0]
    if "=" in verb or verb.startswith(("+", "~", "-")):
        meant = next((word for word in args if word in VERBS), "plan")
        rest = list(args)
        if meant in rest:
            rest.remove(meant)
        hint = f"the verb comes first: mldlc {shlex.join([meant, *rest])}"
    else:
        close = nearest(verb, VERBS)
        hint = f"did you mean '{close}'?" if close else "see mldlc --help"
    print(f"error: no verb '{verb}'; {hint}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
