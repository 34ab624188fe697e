"""The two hashes. Pure functions: the compiler and the engine compute the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mldlc.plan.codec import digest
from mldlc.plan.step import Step

FORMAT = 1


def recipe(
    *,
    kind: str,
    version: int,
    code: str,
    identity: str,
    inputs: Mapping[str, list[tuple[str, str, str]]],
    sources: list[str],
) -> str:
    """Static Merkle hash of a step. inputs: port -> [(label, upstream recipe, upstream port)]; sources: their URIs."""
    return digest(["recipe", FORMAT, kind, version, code, identity, _labelled(inputs), sources])


def node_key(
    *,
    kind: str,
    version: int,
    code: str,
    identity: str,
    inputs: Mapping[str, list[tuple[str, str]]],
    tokens: list[str],
    packages: Mapping[str, str],
    lineage: str,
) -> str:
    """The cache key. inputs: port -> [(label, content digest)]; tokens: one a source, in order; packages: major.minor.

    lineage: the recipe, for steps that show their lineage; "" for all others.
    """
    return digest(
        ["key", FORMAT, kind, version, code, identity, _labelled(inputs), tokens, sorted(packages.items()), lineage]
    )


def action_key(step: Step, inputs: Mapping[str, list[tuple[str, str]]], tokens: list[str], lineage: str = "") -> str:
    """`node_key` of a plan's step."""
    return node_key(
        kind=step.kind,
        version=step.version,
        code=step.code,
        identity=step.identity,
        inputs=inputs,
        tokens=tokens,
        packages=step.packages,
        lineage=lineage,
    )


def item_key(
    *,
    kind: str,
    version: int,
    code: str,
    identity: str,
    packages: Mapping[str, str],
    fn: str,
    name: str,
    item: object,
) -> str:
    """The cache key of one item of a step's `ctx.map`. fn: `__qualname__` of what works on it.

    The item is known by its `digest` entry where it is a mapping with one, else by its name and its canonical JSON
    (TypeError or ValueError where it has none).
    """
    known = item["digest"] if isinstance(item, Mapping) and "digest" in item else [name, item]
    return digest(["map", 2, kind, version, code, identity, sorted(packages.items()), fn, known])


def lineage_digest(steps: Mapping[str, Step], step: Step) -> str:
    """Digest of everything upstream by recipe (a recipe is a Merkle hash); "" unless the step declares `lineage`."""
    return step.recipe if step.lineage else ""


def _labelled(inputs: Mapping[str, Sequence[tuple[str, ...]]]) -> list[object]:
    return [[port, sorted(list(item) for item in refs)] for port, refs in sorted(inputs.items())]
