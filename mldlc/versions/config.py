"""Config of `versions`: where a run's artifacts are published as versioned data, and what of them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from mldlc.config.schema import Config, location, result, runtime, secret

Part = Literal["dataset", "split", "profile", "preprocessor", "model", "metrics", "report", "decision"]
Strategy = Literal["none", "source-wins", "dest-wins"]


def _reference(value: str) -> str:
    if not re.match(r"(env|file):.", value):
        raise PydanticCustomError("secret_value", "a reference, env:NAME or file:PATH, never the value itself")
    return value


Reference = Annotated[str, AfterValidator(_reference)]


class _Published(Config):
    """What both stores take.

    branch: it takes merges only. prefix: folder of this project on it. parts: what is published. tag: `{key}` stands
    for the first 12 digits of what is published; null tags nothing. strategy: for paths that both sides changed.
    """

    branch: str = result("main")
    prefix: str = result()
    parts: list[Part] = result()
    tag: str | None = result(None)
    strategy: Strategy = runtime("none")

    @field_validator("prefix")
    @classmethod
    def _a_folder(cls, value: str) -> str:
        value = value.strip("/")
        if not value or any(part in ("", ".", "..") for part in value.split("/")):
            raise ValueError("the prefix is a folder inside the repository, such as 'churn'")
        return value

    @field_validator("tag")
    @classmethod
    def _a_tag(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", value.replace("{key}", "k")):
            raise ValueError("a tag has letters, digits, '_' and '-', and may hold {key}")
        return value


class LocalVersions(_Published):
    """In the store under the outputs root: files that are objects already get a name, and nothing is copied."""

    kind: Literal["local"]


class LakeFSVersions(_Published):
    """On a lakeFS server. Without endpoint and keys, lakectl's variables and ~/.lakectl.yaml are asked.

    access_key, secret_key: references, `env:NAME` or `file:PATH`.
    """

    kind: Literal["lakefs"]
    repository: str = result(min_length=3)
    endpoint: str | None = location(None)
    access_key: Reference | None = secret(None)
    secret_key: Reference | None = secret(None)


Versions = Annotated[LocalVersions | LakeFSVersions, Field(discriminator="kind")]
