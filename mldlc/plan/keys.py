"""The two hashes. Pure functions: the compiler and the engine compute the same ones."""

from __future__ import annotations

from collections.abc import Mapping

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


def action_key(step: Step, inputs: Mapping[str, list[tuple[str, str]]], tokens: list[str], lineage: str = "") -> str:
    """The cache key. inputs: port -> [(label, content digest)]; tokens: one a source, in order.

    lineage: digest of the upstream recipes, for steps that show their lineage; "" for all others.
    """
    return digest(
        ["key", FORMAT, step.kind, step.version, step.code, step.identity, _labelled(inputs), tokens]
        + [sorted(step.packages.items()), lineage]
    )


def lineage_digest(steps: Mapping[str, Step], step: Step) -> str:
    """Digest of everything upstream by recipe; "" unless the step declares `lineage`."""
    return step.recipe if step.lineage else ""


def _labelled(inputs: Mapping[str, list[tuple[str, ...]]] | Mapping[str, list[tuple[str, str, str]]]
              | Mapping[str, list[tuple[str, str]]]) -> list[object]:  # fmt: skip
    return [[port, sorted(list(item) for item in refs)] for port, refs in sorted(inputs.items())]
