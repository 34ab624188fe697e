"""tokenize: fits a tokenizer on one part of a text table and writes the parts as tokens, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tokenizer import fit_bpe, fit_char, save_tokenizer
from mldlc.artifacts.tokens import write_tokens
from mldlc.plan.context import Context, StepError
from mldlc.plan.diagnostic import did_you_mean


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write ports `tokens` and `tokenizer`; summary: vocabulary, tokens, characters a token, unknown characters."""
    settings, split = cfg.prepare, inputs["split"]
    texts = _texts(inputs["table"], split, settings)
    fitted = texts.get(settings.part)
    if fitted is None:
        hint = did_you_mean(settings.part, split.names) or f"parts: {', '.join(split.names)}"
        raise StepError(f"the split has no part '{settings.part}'", where="prepare.part", hint=hint)
    if not fitted:
        raise StepError(f"part '{settings.part}' has no text to fit on", where="prepare.part")
    tokenizer = fit_char(fitted) if settings.kind == "char" else fit_bpe(fitted, settings.vocabulary)
    ctx.progress(1, 2, "fitted")
    made = [(name, tokenizer.encode(rows), sum(map(len, rows))) for name, rows in texts.items()]
    info = {"tokenizer": tokenizer.kind, "fitted": settings.part}
    write_tokens(ctx.out("tokens"), made, tokenizer.size, info)
    save_tokenizer(ctx.out("tokenizer"), tokenizer)
    count, characters = sum(len(tokens) for _, tokens, _ in made), sum(length for _, _, length in made)
    facts: dict[str, Any] = {"vocabulary": tokenizer.size, "tokens": count}
    facts["characters_per_token"] = round(characters / count, 4) if count else 0.0
    if tokenizer.kind == "char":
        facts["unknown"] = sum(int((tokens == 0).sum()) for _, tokens, _ in made)
    ctx.summary(facts)


def _texts(table: Table, split: Split, settings: Any) -> dict[str, list[str]]:
    """The rows of each part with the separator behind them, in table order."""
    if [(p.name, p.rows) for p in table.partitions] != [(p["name"], p["rows"]) for p in split.partitions]:
        raise StepError("the split belongs to another table", hint="bind both to the same stage")
    rows = (
        table.scan().select(pl.col(_column(table, settings)).fill_null("") + settings.separator).collect().to_series()
    )
    return {name: rows.filter(pl.Series(split.mask(name))).to_list() for name in split.names}


def _column(table: Table, settings: Any) -> str:
    """The text column that the config names, or the only one among the features."""
    texts = [column.name for column in table.role("feature") if column.dtype == "String"]
    if settings.column is None and len(texts) == 1:
        return texts[0]
    if settings.column in texts:
        return str(settings.column)
    found = ", ".join(texts) or "none"
    if settings.column is None:
        raise StepError(
            f"the table has {len(texts)} text features, expected one", where="prepare.column",
            hint=f"name one of them: {found}",
        )  # fmt: skip
    hint = did_you_mean(settings.column, texts) or f"text features: {found}"
    raise StepError(f"'{settings.column}' is no text feature of the table", where="prepare.column", hint=hint)
