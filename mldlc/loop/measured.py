"""What was measured when a run's steps ran, for its page: the page in the store has no times and stays as it is."""

from __future__ import annotations

from html import escape

from mldlc.engine.result import Result, StepResult
from mldlc.plan.plan import Plan

END = "</main>"
HEAD = ("stage", "seconds", "CPU seconds", "peak memory", "waited for data")


def measures(plan: Plan, result: Result, point: int | None) -> str:
    """A section of the steps that this run executed (point: for this point of a sweep), "" where it executed none."""
    steps = [step for step in plan.steps if step.id in result.steps and (point is None or point in step.points)]
    done = [(step.stage, result.steps[step.id]) for step in steps]
    rows = "".join(f"<tr>{_cells(stage, one)}</tr>" for stage, one in done if one.status in ("ran", "applied"))
    if not rows:
        return ""
    head = "".join(f'<th class="num">{name}</th>' if n else f"<th>{name}</th>" for n, name in enumerate(HEAD))
    return (
        f'<section id="measured"><h2>Measured in this run</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>\n"
    )


def _cells(stage: str, done: StepResult) -> str:
    wait = done.summary.get("data_wait")
    numbers = (
        f"{done.seconds:.1f}",
        f"{done.cpu:.1f}",
        f"{done.memory / 2**20:.0f} MB" if done.memory else "",
        f"{wait:.1%} of the steps" if isinstance(wait, int | float) else "",
    )
    return f"<td>{escape(stage)}</td>" + "".join(f'<td class="num">{text}</td>' for text in numbers)


def inserted(page: str, section: str) -> str:
    """The page with a section at the end of its main part."""
    before, end, after = page.rpartition(END)
    return before + section + end + after if end else page
