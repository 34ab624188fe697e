"""What is wrong with a config that does not compose, as many mistakes at once as can be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mldlc.config.interpolate import Resolution, dotted
from mldlc.config.provenance import Provenance
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError

if TYPE_CHECKING:
    from mldlc.config.seam import Composer


def refuse(lines: Sequence[str]) -> list[Diagnostic]:
    return []


def diagnose(composer: Composer, lines: Sequence[str], error: Exception) -> list[Diagnostic]:
    if isinstance(error, DiagnosticError):
        return list(error.diagnostics)
    return [Diagnostic("composition", str(error))]


def check_resolved(resolution: Resolution, provenance: Provenance) -> list[Diagnostic]:
    found = []
    for path in resolution.missing:
        key = dotted(path)
        found.append(Diagnostic("missing_value", f"'{key}' needs a value", key=key, where=provenance.locate(key)))
    for path, error in resolution.failures.items():
        key = dotted(path)
        found.append(Diagnostic("bad_interpolation", str(error), key=key, where=provenance.locate(key)))
    return found
