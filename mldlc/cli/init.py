"""Write a config repository of your own: configs, a small package with a model, tests, a CI file.

It plans and runs at once, offline, on bundled data: mldlc init demo && cd demo && mldlc run experiment=income
"""

from __future__ import annotations

import argparse
import importlib.machinery
import keyword
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from mldlc.cli.frame import emit
from mldlc.plan.diagnostic import fail

TEMPLATE = Path(__file__).with_name("template")
HIDDEN = {"gitignore": ".gitignore", "github": ".github"}  # names that git or an installer would read in our own tree
TAKEN = ("mldlc", "tests", "conf", "outputs")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc init`."""
    parser.add_argument("name", metavar="NAME", help="a new folder, named as the project: churn, work/churn")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Write the repository; exit code 2 when it cannot be named so or something is there."""
    folder = Path(args.name)
    name, package = folder.name, package_of(folder.name, args.name)
    if os.path.lexists(folder) and not _empty(folder):
        raise fail("exists", f"'{folder}' exists already", found=str(folder), hint="choose another name, or remove it")
    if not folder.absolute().parent.is_dir():
        raise fail("missing_folder", f"no folder '{folder.parent}' to write into", found=str(folder.parent))
    files = write(folder, name, package)
    if args.json:
        emit({"format": "mldlc.init/1", "name": name, "package": package, "folder": str(folder), "files": files})
    else:
        print("\n".join(f"  {folder / file}" for file in files))
        print(f"Next: cd {folder} && mldlc plan experiment=income")
    return 0


def package_of(name: str, given: str) -> str:
    """The Python package of a project. DiagnosticError when none of that name can live beside the others."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name, re.ASCII):
        hint = "letters, digits, - and _, a letter first: mldlc init churn"
        raise fail("bad_name", f"command line: '{given}' cannot name a project", found=given, hint=hint)
    package = name.lower().replace("-", "_")
    if keyword.iskeyword(package):
        why = f"'{package}' is a word of Python"
    elif package in sys.stdlib_module_names:
        why = f"'{package}' is a module of Python"
    elif package in TAKEN or importlib.machinery.PathFinder.find_spec(package, _installed()):
        why = f"a package '{package}' is installed, and yours would hide it"
    else:
        return package
    raise fail("bad_name", f"command line: '{given}' cannot name a project: {why}", found=given, hint=f"try my-{name}")


def write(folder: Path, name: str, package: str) -> list[str]:
    """Write the template aside and rename it into place, all or nothing; the files, relative to `folder`."""
    aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.absolute().parent))
    try:
        files = []
        for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            parts = source.relative_to(TEMPLATE).parts
            file = Path(*(HIDDEN.get(part, part).replace("PACKAGE", package) for part in parts))
            text = source.read_text("utf-8").replace("PACKAGE", package).replace("PROJECT", name)
            (aside / file).parent.mkdir(parents=True, exist_ok=True)
            (aside / file).write_text(text, "utf-8")
            files.append(file.as_posix())
        mask = os.umask(0)
        os.umask(mask)
        aside.chmod(0o777 & ~mask)
        _into_place(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return sorted(files)


def _into_place(aside: Path, folder: Path) -> None:
    """Rename; DiagnosticError when somebody wrote to `folder` meanwhile (an empty folder is replaced)."""
    try:
        aside.rename(folder.absolute())
    except OSError as error:
        if os.path.lexists(folder):
            raise fail("exists", f"'{folder}' exists already", found=str(folder)) from error
        raise


def _empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _installed() -> list[str]:
    """Where installed packages are; the current folder is not such a place."""
    here = Path.cwd()
    return [path for path in sys.path if path and Path(path).absolute() != here]
