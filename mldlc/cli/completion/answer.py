"""Answers a Tab: what the word at the cursor can become. Warm, it imports neither Hydra nor pydantic."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mldlc.cli.completion import SHELLS, grammar
from mldlc.cli.completion.files import files
from mldlc.cli.completion.flags import flags_of
from mldlc.cli.completion.line import Line, parse
from mldlc.cli.main import VERBS
from mldlc.compiler.stamps import MANIFEST
from mldlc.compiler.vocabulary import Vocabulary

CONFIG = ("plan", "run", "why", "explain", "graph", "diff")  # verbs that take overrides
SPECIAL = re.compile(r"([\s'\"\\$`&|;<>()*?!{}\[\]#~])")


def answer(shell: str, text: str, start: Path, breaks: str = "") -> list[str]:
    """One line a candidate, as the shell wants it: bash only what follows its word break, fish with a description."""
    line = parse(text, breaks)
    found = dict(_candidates(line, start))
    if shell == "fish":
        return [f"{word}\t{note}" if note else word for word, note in found.items()]
    if shell == "bash":
        quoted = text.count("'") % 2 or text.count('"') % 2
        return [word[line.own :] if quoted else SPECIAL.sub(r"\\\1", word[line.own :]) for word in found]
    return list(found)


def _candidates(line: Line, start: Path) -> Iterator[tuple[str, str]]:
    """(word, what it is) of each thing the current word can become."""
    if len(line.words) < 2:
        every = {**VERBS, **({"--help": "all verbs", "--version": ""} if line.current.startswith("-") else {})}
        yield from ((verb, note) for verb, note in every.items() if verb.startswith(line.current))
        return
    verb, rest = line.words[1], line.words[2:]
    if verb == "data":
        from mldlc.cli.data import VERBS as DATA

        if not rest:
            yield from ((name, note) for name, note in DATA.items() if name.startswith(line.current))
            return
        verb, rest = f"data {rest[0]}", rest[1:]
    yield from _of_verb(verb, rest, line.current, start)


def _of_verb(verb: str, rest: tuple[str, ...], current: str, start: Path) -> Iterator[tuple[str, str]]:
    name, folder = _value_of(rest, "-cn", "--config-name") or "config", _value_of(rest, "-cd", "--config-dir")
    vocabulary = Vocabulary(start, name, folder)
    keep = (vocabulary.root / MANIFEST).is_file() or vocabulary.outputs.is_dir()
    flags = flags_of(vocabulary.outputs, keep).get(verb, {})
    args = _Words(verb, rest, flags, vocabulary)
    last = rest[-1] if rest else ""
    if last in flags and flags[last]["takes"]:
        yield from ((word, "") for word in args.value(flags[last], current))
    elif current.startswith("-") and "=" in current:
        flag, _, begun = current.partition("=")
        if flag in flags:
            yield from ((f"{flag}={word}", "") for word in args.value(flags[flag], begun))
    elif current.startswith("-"):
        yield from ((flag, row["help"]) for flag, row in flags.items() if flag[:2] == "--" and flag.startswith(current))
    else:
        yield from ((word, "") for word in args.argument(current) if word.startswith(current))


def _value_of(words: tuple[str, ...], *flags: str) -> str:
    """What was given to a flag, "" when it was not given."""
    for index, word in enumerate(words):
        flag, given, value = word.partition("=")
        if flag in flags:
            return value if given else "".join(words[index + 1 : index + 2])
    return ""


class _Words:
    """What the arguments of a verb can be."""

    def __init__(self, verb: str, rest: tuple[str, ...], flags: dict[str, Any], vocabulary: Vocabulary) -> None:
        self.verb, self.flags, self.vocabulary = verb, flags, vocabulary
        before = ("", *rest)
        self.given = tuple(
            word
            for word, left in zip(rest, before, strict=False)
            if not word.startswith("-") and not flags.get(left, {}).get("takes")
        )

    def value(self, flag: dict[str, Any], begun: str) -> Iterable[str]:
        """What a flag takes."""
        kind = flag["takes"]
        if flag["choices"]:
            found: Iterable[str] = flag["choices"]
        elif kind == "STAGE":
            found = self.stages()
        elif kind in ("DIR", "config_dir"):
            return files(begun, folders_only=True)
        elif kind == "FILE":
            return files(begun)
        elif kind == "config_name":
            found = self.vocabulary.config_names()
        elif kind.startswith("BRANCH"):
            found = self.refs()
        else:
            found = ()
        return [word for word in found if word.startswith(begun)]

    def argument(self, begun: str) -> Iterator[str]:
        """What the next argument can be."""
        first = not [word for word in self.given if "=" not in word]
        if first and "" in self.flags:
            yield from self.flags[""]["choices"]
        elif first and self.verb in ("why", "approve", "reject", "lineage"):
            yield from self.stages("scope.gate" if self.verb in ("approve", "reject") else "")
        elif first and self.verb == "explain":
            yield from grammar.keys(begun, self.given, self.vocabulary)
            return
        if self.verb in ("show", "reproduce", "lineage") and first:
            yield from self.runs()
        elif self.verb == "diff" and len(self.given) < 2:
            yield from self.runs()
            yield from files(begun, ".json")
        elif self.verb == "run" and first and begun:
            yield from files(begun, ".json")
        elif self.verb == "data put":
            yield from files(begun)
        elif self.verb.startswith("data ") and self.verb not in ("data verify", "data gc"):
            yield from self.refs()
        if self.verb in CONFIG and not (self.verb == "why" and first):
            yield from grammar.override(begun, self.given, self.vocabulary)

    def stages(self, kind: str = "") -> list[str]:
        """The stages of the config that the line asks for; of one kind where there are some."""
        found: dict[str, str] = self.vocabulary.keys(grammar.choices(self.given, self.vocabulary))["stages"]
        return [name for name, its in found.items() if its == kind] or list(found)

    def runs(self) -> list[str]:
        """Names of runs, the newest first."""
        folder = self.vocabulary.outputs / "runs"
        names = sorted((entry.name for entry in os.scandir(folder)), reverse=True) if folder.is_dir() else []
        return ["latest", *names] if names else []

    def refs(self) -> list[str]:
        """Branches and tags of the embedded store."""
        from mldlc.store.layout import Store
        from mldlc.store.versions.heads import list_heads, list_tags

        store = Store(self.vocabulary.outputs / "store")
        return [*list_heads(store), *list_tags(store)] if store.root.is_dir() else []


def main(argv: list[str]) -> int:
    """`completion --answer SHELL LINE`: print the candidates; nothing where something is wrong with the project."""
    if len(argv) != 2 or argv[0] not in SHELLS:
        return 2
    try:
        breaks = os.environ.get("COMP_WORDBREAKS", "") if argv[0] == "bash" else ""
        print("\n".join(answer(argv[0], argv[1], Path.cwd(), breaks)))
    except Exception:  # a Tab must never write into the line that is being typed; `mldlc plan` tells what is wrong
        return 1
    return 0
