"""Who we are for a lakeFS server: found in config references, the environment or ~/.lakectl.yaml, and never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from mldlc.plan.versions import Denied

MASK = "***"
API = "/api/v1"
LAKECTL_FILE = "~/.lakectl.yaml"
# Part -> its variable, in the order they are asked: ours, then those of lakectl and of the official Python client.
VARIABLES = {
    "endpoint": ("MLDLC_LAKEFS_ENDPOINT", "LAKECTL_SERVER_ENDPOINT_URL"),
    "access_key": ("MLDLC_LAKEFS_ACCESS_KEY_ID", "LAKECTL_CREDENTIALS_ACCESS_KEY_ID"),
    "secret_key": ("MLDLC_LAKEFS_SECRET_ACCESS_KEY", "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"),
}
_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)


@dataclass(frozen=True)
class Credentials:
    """A server and a key pair. The secret is in no repr; `origin` says where the pair was found."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    origin: str = ""

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not written down: find them again in the process that needs them")

    def redact(self, text: str) -> str:
        """`text` without the secret."""
        return text.replace(self.secret_key, MASK) if self.secret_key else text


def find_credentials(
    config: Mapping[str, str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    lakectl_file: Path | None = None,
) -> Credentials:
    """The first whole key pair of: config (endpoint, access_key, secret_key), the environment, lakectl's file.

    In config the keys are references, `env:NAME` or `file:PATH`; the endpoint may stand there as it is. A pair never
    mixes two places; the endpoint may come from another place only where the pair's own names none. Denied: none or
    half a pair, with every place named.
    """
    environ = os.environ if environ is None else environ
    path = Path(LAKECTL_FILE).expanduser() if lakectl_file is None else lakectl_file
    places = [
        ("the config", _from_config(config or {}, environ)),
        *(
            (f"the environment ({names[1]}, {names[2]})", _from_environment(names, environ))
            for names in _variable_sets()
        ),
        (str(path), _from_lakectl(path)),
    ]
    looked = "looked in " + ", ".join(name for name, _ in places)
    for name, found in places:
        if bool(found.get("access_key")) != bool(found.get("secret_key")):
            missing = "secret_key" if found.get("access_key") else "access_key"
            raise Denied(f"half a lakeFS key pair: {name} has no {missing}")
    endpoint = server_url(next((found["endpoint"] for _, found in places if found.get("endpoint")), ""), looked)
    pairs = [(name, found) for name, found in places if found.get("access_key")]
    for name, found in pairs:
        # Keys go only to the server that their own place names: a config repository must not send them elsewhere.
        if not found.get("endpoint") or server_url(found["endpoint"]) == endpoint:
            return Credentials(endpoint, found["access_key"], found["secret_key"], name)
    if pairs:
        raise Denied(f"no lakeFS credentials for {endpoint}: the key pair in {pairs[0][0]} is for another server")
    raise Denied(f"no lakeFS credentials for {endpoint}; {looked}")


def server_url(endpoint: str, looked: str = "") -> str:
    """The server's address without `/api/v1` and a final slash. Denied when it is no http(s) URL."""
    from urllib.parse import urlsplit

    if not endpoint:
        raise Denied(f"no lakeFS server: {' or '.join(VARIABLES['endpoint'])} is not set; {looked}")
    text = endpoint.strip().rstrip("/").removesuffix(API).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise Denied("the lakeFS endpoint is not a URL like https://lakefs.example.com")
    if parts.username or parts.password:
        raise Denied("the lakeFS endpoint has a password in it: give the key pair apart")
    return text


def _variable_sets() -> list[tuple[str, str, str]]:
    return list(zip(VARIABLES["endpoint"], VARIABLES["access_key"], VARIABLES["secret_key"], strict=True))


def _from_environment(names: tuple[str, str, str], environ: Mapping[str, str]) -> dict[str, str]:
    return {part: environ[name] for part, name in zip(VARIABLES, names, strict=True) if environ.get(name)}


def _from_config(config: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    from mldlc.plan.diagnostic import did_you_mean

    found = {}
    for key, value in config.items():
        if key not in VARIABLES:
            hint = did_you_mean(key, VARIABLES)
            raise Denied(f"unknown lakeFS setting {key!r}; {hint or 'allowed: ' + ', '.join(VARIABLES)}")
        match = _REFERENCE.fullmatch(value)
        if match:
            found[key] = _dereference(match[1], match[2], f"lakeFS {key}", environ)
        elif key == "secret_key":  # the value itself is not repeated: it is the secret
            raise Denied(
                "the lakeFS secret_key in a config is a reference, never the value itself: env:NAME or file:PATH"
            )
        elif value:
            found[key] = value
    return found


def _dereference(scheme: str, name: str, what: str, environ: Mapping[str, str]) -> str:
    if scheme == "env":
        if not environ.get(name):
            raise Denied(f"{what} refers to the environment variable {name}, which is not set")
        return environ[name]
    try:
        return Path(name).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Denied(f"{what} refers to the file {name}, which cannot be read: {reason}") from None


def _from_lakectl(path: Path) -> dict[str, str]:
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError):
        raise Denied(f"{path} cannot be read") from None
    import yaml

    try:
        tree = yaml.safe_load(text)
        credentials, server = tree.get("credentials") or {}, tree.get("server") or {}
        found = {
            "endpoint": server.get("endpoint_url"),
            "access_key": credentials.get("access_key_id"),
            "secret_key": credentials.get("secret_access_key"),
        }
    except (yaml.YAMLError, AttributeError):
        damaged = True  # the parser's message quotes the line, which may hold the secret: raised outside its handler
    else:
        damaged = False
    if damaged:
        raise Denied(f"{path} is not lakectl's file: it has `credentials:` and `server:`, in YAML")
    return {part: str(value) for part, value in found.items() if value}
