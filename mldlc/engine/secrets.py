"""Secrets: references in the config become values here, in the process that runs the step; they leave it redacted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mldlc.config.schema import roles_of
from mldlc.plan.context import StepError

MASK = "***"


def resolve(value: Any, found: list[str], where: str = "") -> Any:
    """`value` with every field of role `secret` resolved; the secret texts are added to `found`."""
    if isinstance(value, BaseModel):
        update = {}
        for name, field in roles_of(type(value)).items():
            item = getattr(value, name)
            path = f"{where}.{name}"
            if field.role == "secret":
                new = _secret(item, found, path)
            else:
                new = resolve(item, found, path)
            if new is not item:
                update[name] = new
        return value.model_copy(update=update) if update else value
    if isinstance(value, dict):
        new_dict = {key: resolve(item, found, f"{where}.{key}") for key, item in value.items()}
        return new_dict if any(new_dict[key] is not value[key] for key in value) else value
    if isinstance(value, list | tuple):
        items = [resolve(item, found, f"{where}[{number}]") for number, item in enumerate(value)]
        return type(value)(items) if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def _secret(reference: Any, found: list[str], where: str) -> Any:
    if not isinstance(reference, str) or not reference:
        return reference
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        value = os.environ.get(name)
        if value is None:
            raise StepError(f"the environment has no variable {name}", where=where, hint=f"export {name}=...")
    elif scheme == "file":
        try:
            value = Path(name).expanduser().read_text("utf-8").strip()
        except OSError as error:
            raise StepError(f"secret file {name} cannot be read: {error.strerror}", where=where) from None
    else:
        raise StepError("a secret is a reference, never the value itself", where=where, hint="env:NAME or file:PATH")
    found.append(value)
    return value


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` without the secret values."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    return text


def redact_all(value: Any, secrets: list[str]) -> Any:
    """A JSON value without the secret values in any of its texts."""
    if not secrets:
        return value
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {redact_all(key, secrets): redact_all(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(item, secrets) for item in value]
    return value
