"""A search for a person: what it is about, and the table of its trials, best first."""

from __future__ import annotations

from typing import Any

from mldlc.cli.views.style import number_text
from mldlc.config.space import read_param, shown
from mldlc.loop.search import Found, Trial

MOST = 10


def about(settings: dict[str, Any]) -> str:
    """One line: what is searched for, over what."""
    goals = ", ".join(f"{goal['mode']} {goal['metric']}" for goal in settings["objective"])
    space = "; ".join(f"{name} {shown(read_param(value))}" for name, value in settings["params"].items())
    count = settings.get("n_trials") or (settings["n_points"] if settings["sampler"] != "grid" else "all")
    return f"Search ({settings['kind']}, {settings['sampler']}): {goals} in {count} points over {space}"


def table(found: Found) -> list[str]:
    """The trials, best first where there is one objective: at most MOST of them, and how the others ended."""
    done = [trial for trial in found.trials if trial.state == "complete"]
    if len(found.goals) == 1:
        done.sort(key=lambda trial: trial.values[0], reverse=found.goals[0].mode == "max")
    else:
        done.sort(key=lambda trial: trial not in found.best)
    lines = [_row(trial, found) for trial in done[:MOST]]
    if len(done) > MOST:
        lines.append(f"    and {len(done) - MOST} more")
    counts = {state: sum(trial.state == state for trial in found.trials) for state in ("pruned", "failed", "running")}
    rest = ", ".join(f"{count} {'begun' if state == 'running' else state}" for state, count in counts.items() if count)
    return [*lines, f"    {rest}"] if rest else lines


def _row(trial: Trial, found: Found) -> str:
    values = "  ".join(
        f"{goal.metric} {number_text(value)}" for goal, value in zip(found.goals, trial.values, strict=True)
    )
    mark = "*" if trial in found.best else " "
    return f"  {mark} {trial.number:>3}  {values}  {' '.join(trial.lines)}"
