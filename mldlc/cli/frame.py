"""What all verbs share: the parser, finding the project, and turning failures into text, JSON and exit codes."""

from __future__ import annotations

import argparse
import errno
import gc
import importlib
import json
import os
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

from mldlc.cli.views.stream import discard, lasting_output
from mldlc.plan.codec import encode
from mldlc.plan.diagnostic import DiagnosticError, did_you_mean, fail

CONFIG_ERROR = 2
SURROUNDINGS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
}


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are diagnostics: one line with the nearest name, JSON with --json."""

    def error(self, message: str) -> NoReturn:
        """Raise DiagnosticError for what argparse complains about."""
        hint = f"see {self.prog} --help"
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        unknown = re.match(r"unrecognized arguments: (-\S+)", message)
        overrides = re.match(r"unrecognized arguments: ([^-\s][^\s=]*=\S*)", message)
        if choice is not None:
            allowed = [name.strip("' ") for name in choice[2].split(",")]
            message, hint = f"no '{choice[1]}' here", f"choose from {', '.join(allowed)}"
            hint = did_you_mean(choice[1], allowed) or hint
        elif overrides is not None and "--outputs" in self._option_string_actions:
            message = f"it takes no overrides, and '{overrides[1]}' is one"
            hint = "outputs elsewhere: --outputs DIR"
        elif unknown is not None:
            flag = unknown[1].split("=")[0]
            message = f"unknown flag '{flag}'"
            hint = did_you_mean(flag, self._option_string_actions) or hint
        raise fail("bad_arguments", f"command line: {message}", hint=hint)


def call(verb: str, argv: list[str]) -> int:
    """Parse, run the verb's module, and report what it raises. A verb of verbs (`data`) is a package that chooses."""
    gc.disable()  # a plan is made and shown in well under a second: collecting on the way only costs (`run` enables it)
    module = importlib.import_module(f"mldlc.cli.{verb}")
    with lasting_output() if verb == "run" else nullcontext():
        try:
            check_folder()
            if hasattr(module, "choose"):
                if not argv or argv[0] in ("-h", "--help", "help"):
                    print(module.help_text())
                    return 0
                verb, module, argv = module.choose(argv)
            parser = Parser(
                prog=f"mldlc {verb}",
                description=module.__doc__,
                formatter_class=argparse.RawDescriptionHelpFormatter,
                allow_abbrev=False,
            )
            module.arguments(parser)
            return int(module.run(parser.parse_intermixed_args(argv)))
        except DiagnosticError as error:
            return report_errors(error, "--json" in argv, verb)
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            discard(sys.stdout)
            return 0
        except OSError as error:
            if error.errno not in SURROUNDINGS:
                raise
            return _report_surroundings(error, verb, "--json" in argv)


def check_folder() -> None:
    """DiagnosticError when the current folder was deleted."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise fail("no_folder", "the current folder does not exist any more", hint="cd to one that does") from None


def _report_surroundings(error: OSError, verb: str, as_json: bool) -> int:
    """A disk that is full or a right that lacks is no bug: one line, exit code 1."""
    place = f"{error.filename}: " if error.filename else ""
    try:
        report_errors(fail("system", f"{place}{error.strerror}"), as_json, verb)
        sys.stdout.flush()
    except OSError:
        discard(sys.stdout)
    return 1


def config_arguments(parser: argparse.ArgumentParser, *, selection: bool = True) -> None:
    """Hydra's own grammar: overrides, -m, --config-name, --config-dir; and --json."""
    parser.add_argument("overrides", nargs="*", help="group=option, key.path=value, +new=1, ~drop")
    parser.add_argument("-m", "--multirun", action="store_true", help="expand sweeps: key=a,b  key=range(4)")
    parser.add_argument("-cn", "--config-name", default="config", help="primary config (default: config)")
    parser.add_argument("-cd", "--config-dir", default=None, help="one more config folder, searched first")
    rev = "read configs and code from this git revision, not from the files"
    parser.add_argument("--rev", type=_revision, help=rev)
    parser.add_argument("--locked", action="store_true", help="refuse git revisions that mldlc.lock does not pin")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout, text on stderr")
    parser.add_argument("--trace-passes", action="store_true", help="print what each compiler pass changed")
    if selection:
        parser.add_argument("--until", default="", metavar="STAGE", help="stop after this stage")
        parser.add_argument("--from", dest="since", default="", metavar="STAGE", help="run again from this stage on")
        parser.add_argument("--force", action="append", default=[], metavar="STAGE", help="run this stage in any case")


def _revision(text: str) -> str:
    """Nothing, as an unset variable of a script gives it, is an error: it would mean the files."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a revision is expected, found an empty text")
    return text


def name_of_subject(args: argparse.Namespace, positional: str) -> None:
    """Take what is no override for the `positional` that the verb is about, wherever it stands among the overrides."""
    words = [getattr(args, positional), *args.overrides]
    at = next((n for n, word in enumerate(words) if "=" not in word and not word.startswith(("~", "+"))), 0)
    setattr(args, positional, words.pop(at))
    args.overrides = words


def request_from(args: argparse.Namespace) -> Any:
    """The CompileRequest of the arguments."""
    from mldlc.compiler.draft import CompileRequest, Selection

    return CompileRequest(
        Path.cwd(),
        tuple(args.overrides),
        args.config_name,
        args.multirun,
        args.config_dir,
        Selection(getattr(args, "until", ""), getattr(args, "since", ""), tuple(getattr(args, "force", ()))),
        rev=args.rev or "",
        locked=args.locked,
    )


def compile_from(args: argparse.Namespace) -> Any:
    """Compile what the arguments ask for; the Plan."""
    from mldlc.compiler.pipeline import compile_plan

    def trace(name: str, text: str) -> None:
        print(f"-- {name}\n{text or '(nothing)'}", file=sys.stderr)

    return compile_plan(request_from(args), trace if args.trace_passes else None)


def delegated(argv: list[str]) -> int:
    """Hand --cfg, --info and --hydra-help to Hydra itself."""
    from mldlc.config.delegate import delegate
    from mldlc.config.project import find_project

    try:
        check_folder()
        return delegate(find_project(Path.cwd()), argv)
    except DiagnosticError as error:
        return report_errors(error, False, "")


def report_errors(error: DiagnosticError, as_json: bool, verb: str) -> int:
    """All diagnostics: one line each on stderr; with --json also as events and a summary on stdout. Exit code 2."""
    for item in error.diagnostics:
        print(f"{item.severity}: {item}", file=sys.stderr)
    if as_json:
        for item in error.diagnostics:
            emit({"type": "diagnostic", **encode(item)})
        name = {"plan": "plan-summary", "data verify": "verify", "data gc": "gc"}.get(verb, verb.replace(" ", "."))
        emit({"format": f"mldlc.{name}/1", "status": "error", "diagnostics": [encode(d) for d in error.diagnostics]})
    return CONFIG_ERROR


def emit(event: dict[str, Any]) -> None:
    """One NDJSON event on stdout."""
    sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def outputs_of(args: argparse.Namespace) -> Path:
    """Outputs root for verbs that only read: --outputs, MLDLC_OUTPUTS, else the project's `outputs`."""
    from mldlc.compiler.graph_cache import root_of

    chosen = getattr(args, "outputs", None) or os.environ.get("MLDLC_OUTPUTS")
    return Path(chosen).absolute() if chosen else root_of(Path.cwd()) / "outputs"


def outputs_argument(parser: argparse.ArgumentParser) -> None:
    """`--outputs`, for verbs that take no config."""
    parser.add_argument(
        "--outputs", default=None, metavar="DIR", help="outputs root (default: MLDLC_OUTPUTS, else outputs)"
    )
