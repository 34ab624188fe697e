"""A command line up to the cursor: the words before it, and the one that is being typed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """words: complete ones, the program first. current: what is being typed, without quotes.

    own: how many characters of `current` the shell takes for a word of its own, because a character of its word breaks
    (or a quote) stands after them: it wants answers without these.
    """

    words: tuple[str, ...]
    current: str
    own: int = 0


def parse(text: str, breaks: str = "") -> Line:
    """Split as a shell does; quotes may still be open. `breaks`: the shell's own characters that end a word."""
    words: list[str] = []
    word, begun, quote, own = "", False, "", 0
    at = 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"' and text[at + 1 : at + 2] in ('"', "\\", "$", "`"):
                at += 1
                word += text[at]
            else:
                word += char
        elif char in " \t\n":
            if begun:
                words.append(word)
            word, begun, own = "", False, 0
        else:
            begun = True
            if char in "'\"":
                quote, own = char, len(word)
            else:
                if char == "\\":
                    at += 1
                    char = text[at : at + 1]
                word += char
                own = len(word) if char and char in breaks else own
        at += 1
    return Line(tuple(words), word, own)
