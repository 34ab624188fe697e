"""The shipped configs: every group option composes on its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.config.compose import Request, compose
from mldlc.config.groups import describe_groups
from mldlc.config.project import Project, shipped_conf
from mldlc.plan.diagnostic import DiagnosticError

SHIPPED = Project(Path("/nonexistent"), (str(shipped_conf()),), (), None, "shipped")
OPTIONS = [(group, name) for group, names in describe_groups(SHIPPED).items() for name in names if group != "local"]


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), OPTIONS, ids=lambda value: str(value))
def test_every_option_composes(group: str, name: str) -> None:
    try:
        compose(SHIPPED, Request(overrides=(f"{group}={name}",)))
    except DiagnosticError as error:  # what only the user can say is allowed to be missing, nothing else is
        assert {item.code for item in error.diagnostics} == {"missing_value"}, str(error)
