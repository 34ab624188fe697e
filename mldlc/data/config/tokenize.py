"""Config of `prepare` where text is made into tokens: by character or by byte-level BPE, fitted on one part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mldlc.config.schema import Config, result


class _Tokenize(Config):
    """part: what the vocabulary is taken from. column: the text (null: the only text feature).

    separator: follows the text of every row.
    """

    part: str = result("train")
    column: str | None = result(None)
    separator: str = result("\n")


class Char(_Tokenize):
    """A token a character. One that the fitted part has not becomes the token `unknown`."""

    kind: Literal["char"]


class Bpe(_Tokenize):
    """Byte-level byte-pair encoding with a vocabulary of that size; needs `pip install 'mldlc[text]'`."""

    kind: Literal["bpe"]
    vocabulary: int = result(1024, ge=257)


Tokenize = Annotated[Char | Bpe, Field(discriminator="kind")]
