"""What a model looks up in its embedding tables: told, or replaced by other rows. So categories have gradients, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Run = Callable[[Tensor, Tensor], Tensor]  # (numeric, codes) -> raw outputs
SAME = 1e-6  # difference of outputs, relative, below which a category does not reach them


@dataclass(frozen=True)
class Lookup:
    """One call of one table: codes (n, P) and their rows (n, P, dim)."""

    codes: Tensor
    rows: Tensor


class Lookups:
    """Watches the embedding tables of a module. Bags count where they add up the codes of a row: (n, P), no weights."""

    def __init__(self, module: nn.Module) -> None:
        kinds = (nn.Embedding, nn.EmbeddingBag)
        self.tables = [layer for layer in module.modules() if isinstance(layer, kinds)]

    def told(self, run: Run, numeric: Tensor, codes: Tensor) -> list[Lookup]:
        """The lookups of a forward pass, in order."""
        found: list[Lookup] = []
        with torch.no_grad(), self._hooked(lambda lookup: found.append(lookup)):
            run(numeric, codes)
        return found

    def replaced(self, run: Run, numeric: Tensor, codes: Tensor, rows: Sequence[Tensor]) -> Tensor:
        """The raw outputs where each lookup, in order, finds the given rows (n, P, dim) instead of its own."""
        given = iter(rows)
        with self._hooked(lambda lookup: next(given)):
            return run(numeric, codes)

    @contextmanager
    def _hooked(self, answer: Callable[[Lookup], Tensor | None]) -> Iterator[None]:
        def hook(table: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor | None:
            codes = args[0] if args else kwargs.get("input")
            if codes is None or codes.ndim < 1 or not _plain(table, codes, args, kwargs):
                return None
            flat = codes.reshape(len(codes), -1).long()
            rows = answer(Lookup(flat, F.embedding(flat, table.weight)))
            if rows is None:
                return None
            if isinstance(table, nn.EmbeddingBag):
                return rows.sum(1) if table.mode == "sum" else rows.mean(1)
            return rows.reshape(*codes.shape, -1)

        handles = [table.register_forward_hook(hook, with_kwargs=True) for table in self.tables]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _plain(table: nn.Module, codes: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if not isinstance(table, nn.EmbeddingBag):
        return True
    more = [item for item in (*args[1:], *(v for k, v in kwargs.items() if k != "input")) if item is not None]
    return codes.ndim == 2 and not more and table.mode in ("sum", "mean") and table.padding_idx is None


def owners(
    lookups: Lookups, run: Run, numeric: Tensor, codes: Tensor, cardinalities: Sequence[int]
) -> tuple[list[list[int]], list[int]]:
    """(for each lookup the column of codes behind each position, -1 for none or several; columns that are not told).

    A column is not told where it reaches the output in another way than by a position of its own: as a number, one-hot,
    or looked up together with another column. Tried out on the given rows, one column at a time.
    """
    before = lookups.told(run, numeric, codes)
    rows = [lookup.rows for lookup in before]
    with torch.no_grad():
        output = run(numeric, codes)
    behind = [[set[int]() for _ in range(lookup.codes.shape[1])] for lookup in before]
    untold: set[int] = set()
    for column, count in enumerate(cardinalities):
        if count < 2:
            continue
        other = codes.clone()
        other[:, column] = (other[:, column] + 1) % count
        after = lookups.told(run, numeric, other)
        if [lookup.codes.shape for lookup in after] != [lookup.codes.shape for lookup in before]:
            return [[-1] * len(item) for item in behind], list(range(len(cardinalities)))
        for item, old, new in zip(behind, before, after, strict=True):
            for position in (old.codes != new.codes).any(0).nonzero().flatten().tolist():
                item[position].add(column)
        with torch.no_grad():
            moved = lookups.replaced(run, numeric, other, rows) - output
        if moved.abs().max() > SAME * output.abs().max().clamp_min(1):
            untold.add(column)
    untold |= {column for item in behind for columns in item if len(columns) > 1 for column in columns}
    single = [[next(iter(s)) if len(s) == 1 and not s & untold else -1 for s in item] for item in behind]
    return single, sorted(untold)
