"""What `--trace-passes` compares: the draft as lines of text."""

from __future__ import annotations

from mldlc.compiler.draft import Draft


def summary(draft: Draft) -> list[str]:
    """The draft as lines, one a fact; a line that a pass adds is what the pass changed."""
    lines = [f"snapshot  {name} = {value}" for name, value in vars(draft.snapshot).items() if value]
    lines += [f"point     {p.id} {' '.join(p.overrides)}" for p in draft.points]
    lines += [f"typed     point {point}: {stage}" for point, stages in draft.typed.items() for stage in stages]
    for node in draft.nodes.values():
        lines.append(f"node      {node.id}  points {len(node.points)}")
        for port, item in node.inputs.items():
            lines.append(f"wire      {node.id}.{port} <- {', '.join(f'{r.step}.{r.port}' for r in item.refs) or '-'}")
        if node.recipe:
            lines.append(f"recipe    {node.id}  {node.recipe[:16]}")
        if node.key or node.reasons:
            lines.append(f"resolve   {node.id}  {node.action}  key {(node.key or '?')[:16]}")
        lines += [f"reason    {node.id}  {reason.text()}" for reason in node.reasons]
        if node.cost:
            lines.append(f"cost      {node.id}  {node.cost}")
    if draft.plan is not None:
        lines.append(f"plan      {draft.plan.id[:16]}  {len(draft.plan.steps)} steps")
    return lines
