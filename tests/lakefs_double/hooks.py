"""Pre-merge hooks of the double: the action files at the source commit, their Lua run by a real interpreter."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import yaml

from tests.lakefs_double.repository import Event, Refused, Repository

FOLDER = "_lakefs_actions/"


def run_pre_merge(repository: Repository, event: Event) -> None:
    """Refused with 412 when a hook of the merge's source raises an error."""
    for entry in repository.entries(event.source, FOLDER):
        action = yaml.safe_load(repository.store.object(entry.digest).read_text("utf-8"))
        trigger = action.get("on", action.get(True)).get("pre-merge")  # `on` is a truth value in YAML 1.1
        if trigger is None or not any(fnmatchcase(event.branch, name) for name in trigger.get("branches") or ["*"]):
            continue
        for hook in action["hooks"]:
            trouble = run_lua(hook["properties"]["script"], _action(repository, event, action["name"], hook["id"]))
            if trouble:
                raise Refused(412, f"pre-merge hook aborted, run id 'double': {hook['id']}: {trouble}")


def run_lua(script: str, action: dict[str, Any]) -> str:
    """Run a script with the global table `action`; the error that it raises, or ""."""
    from lupa import LuaError, LuaRuntime

    lua = LuaRuntime(register_eval=False, register_builtins=False, attribute_filter=lambda *_: "")
    lua.globals().action = lua.table_from(action, recursive=True)
    try:
        lua.execute(script)
    except LuaError as error:
        return str(error).partition("\nstack traceback")[0]
    return ""


def _action(repository: Repository, event: Event, name: str, hook: str) -> dict[str, Any]:
    return {
        "action_name": name,
        "hook_id": hook,
        "event_type": "pre-merge",
        "repository_id": repository.name,
        "branch_id": event.branch,
        "source_ref": event.source,
        "commit_id": "",
        "commit": {"message": event.message, "committer": "double", "metadata": event.metadata},
    }
