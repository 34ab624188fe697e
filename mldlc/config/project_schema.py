"""The schema of the group `project`, which several rooms read."""

from __future__ import annotations

from mldlc.config.schema import Config, result


class ProjectConfig(Config):
    """What is being built. `name` keeps the history of plans apart; the rest is shown in the report."""

    name: str = result("default", min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = result("")
    description: str = result("")
    owners: list[str] = result([])
    problem: str = result("")
