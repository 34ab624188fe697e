"""Requests to one lakeFS server over lakefs-client's connection pool: raw JSON, retries, errors without secrets."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from mldlc.plan.versions import DataExpired, Denied, Unavailable, VersionsError
from mldlc.store.lakefs.credentials import API, Credentials

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

T = TypeVar("T")
Body = bytes | Callable[[], Iterator[bytes]] | None  # a callable gives the stream afresh for each try
Query = Mapping[str, str | int | bool | list[str] | None]

READ_TIMEOUT = 600.0  # s; merges of 100,000s of objects take minutes
CONNECT_TIMEOUT = 10.0  # s
TRIES = 7
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0  # s, doubling; with jitter, so that many clients do not come back at once
LONGEST_RETRY_AFTER = 120.0  # s that a server may make us wait before we say so instead
RETRIED = frozenset({423, 429, 500, 502, 503, 504})
NOT_DONE = frozenset({423, 429})  # answers that promise that nothing was changed
CONNECTIONS = 16


class ApiError(VersionsError):
    """An answer that its caller has to read: 400, 404, 409, 412, ... `detail` is the server's own sentence."""

    def __init__(self, status: int, detail: str, what: str) -> None:
        self.status, self.detail = status, detail
        super().__init__(f"{what}: {detail} (HTTP {status})")


@dataclass(frozen=True)
class Failure:
    """What became of one try. status: 0 when there was no answer. sent: the server may have done the work."""

    detail: str
    status: int = 0
    wait: float = 0.0
    again: bool = True
    sent: bool = True


@dataclass
class Client:
    """One server. `tries`, `read_timeout` (s) and `sleep` are for slow servers and for tests."""

    credentials: Credentials
    tries: int = TRIES
    read_timeout: float = READ_TIMEOUT
    sleep: Callable[[float], None] = time.sleep

    def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        *,
        recover: Callable[[], Any] | None = None,
    ) -> Any:
        """One API call with a JSON answer (None: an empty one). `recover` as in `request`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if data else {})
        return self.request(method, self.url(path, query), headers=headers, body=data, read=read_json, recover=recover)

    def request(
        self,
        method: str,
        url: str,
        *,
        read: Callable[[BaseHTTPResponse], T],
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        recover: Callable[[], T | None] | None = None,
        what: str = "",
    ) -> T:
        """Send until there is an answer, and read it; a URL of another server (presigned) gets no credentials.

        recover: asked after a failure that leaves open whether the work was done; what it finds is the answer.
        Denied (401, 403), DataExpired (410), ApiError (other 4xx), Unavailable (429, 5xx, no answer: after all tries).
        """
        what = what or f"lakeFS {self.credentials.endpoint}: {method} {urlsplit(url).path.removeprefix(API)}"
        uncertain = False
        failure = Failure("no try was allowed")
        for attempt in range(self.tries):
            outcome = self._try(method, url, dict(headers or {}), body, read)
            if not isinstance(outcome, Failure):
                return outcome
            failure = outcome
            uncertain |= failure.sent and failure.again and failure.status not in NOT_DONE
            if uncertain and recover is not None and (found := recover()) is not None:
                return found
            if not failure.again or failure.wait > LONGEST_RETRY_AFTER:
                break
            if attempt + 1 < self.tries:
                backoff = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
                self.sleep(failure.wait + backoff * random.uniform(0.5, 1.0))
        raise self._error(failure, what, self._is_ours(url))

    def url(self, path: str, query: Query | None = None) -> str:
        """The address of an API path (already quoted) with those parameters that are not None."""
        pairs = {key: _parameter(value) for key, value in (query or {}).items() if value is not None}
        text = f"{self.credentials.endpoint}{API}{path}"
        return f"{text}?{urlencode(pairs, doseq=True, quote_via=quote)}" if pairs else text

    def _try(
        self, method: str, url: str, headers: dict[str, str], body: Body, read: Callable[[BaseHTTPResponse], T]
    ) -> T | Failure:
        """One exchange. What went wrong is returned, not raised: no traceback then carries a URL or a header."""
        import urllib3.exceptions as errors
        from urllib3 import Timeout

        if self._is_ours(url):
            headers["Authorization"] = self._authorization
        try:
            response = self._http.request(
                method,
                url,
                body=body() if callable(body) else body,
                headers=headers,
                timeout=Timeout(connect=CONNECT_TIMEOUT, read=self.read_timeout),
                preload_content=False,
                retries=False,
                redirect=False,
            )
            return read(response) if response.status < 400 else self._refusal(response)
        except (errors.SSLError, errors.LocationValueError) as error:
            return Failure(f"no connection ({type(error).__name__})", again=False, sent=False)
        except (errors.NewConnectionError, errors.ConnectTimeoutError, errors.ProxyError):
            return Failure("no connection", sent=False)
        except errors.HTTPError as error:
            return Failure(f"no whole answer ({type(error).__name__})")
        except json.JSONDecodeError:
            return Failure("the answer is not JSON: is this a lakeFS server?", again=False)

    def _refusal(self, response: BaseHTTPResponse) -> Failure:
        data = response.read(65536)
        response.close()
        try:
            detail = str(json.loads(data)["message"])
        except (ValueError, KeyError, TypeError):
            detail = data[:200].decode(errors="replace").strip() or str(response.reason or "no reason given")
        wait = retry_after(response.headers.get("Retry-After", ""))
        return Failure(self.credentials.redact(detail), response.status, wait, again=response.status in RETRIED)

    def _error(self, failure: Failure, what: str, ours: bool) -> VersionsError:
        text = f"{what}: {failure.detail}"
        if failure.status in RETRIED or not failure.status:
            slow = f"; it asks to wait {failure.wait:.0f} s" if failure.wait > LONGEST_RETRY_AFTER else ""
            return Unavailable(text + (f" (HTTP {failure.status})" if failure.status else "") + slow)
        if ours and failure.status == 401:
            return Denied(f"{text} (HTTP 401); the credentials came from {self.credentials.origin or 'the caller'}")
        if ours and failure.status == 403:
            return Denied(f"{text} (HTTP 403)")
        if ours and failure.status == 410:
            return DataExpired(text)
        return ApiError(failure.status, failure.detail, what)

    def _is_ours(self, url: str) -> bool:
        return url.startswith(f"{self.credentials.endpoint}{API}/")

    @cached_property
    def _configuration(self) -> Any:
        from lakefs_client import Configuration

        found = self.credentials
        configuration = Configuration(host=found.endpoint + API, username=found.access_key, password=found.secret_key)
        configuration.connection_pool_maxsize = CONNECTIONS
        configuration.proxy = _proxy(found.endpoint)
        return configuration

    @cached_property
    def _http(self) -> PoolManager:
        configuration = self._configuration
        from lakefs_client import ApiClient

        return ApiClient(configuration).rest_client.pool_manager  # type: ignore[no-any-return]

    @cached_property
    def _authorization(self) -> str:
        return str(self._configuration.get_basic_auth_token())


def read_json(response: BaseHTTPResponse) -> Any:
    """The body as JSON, None when it is empty; the connection goes back to the pool."""
    data = response.read()
    response.release_conn()
    return json.loads(data) if data.strip() else None


def retry_after(value: str) -> float:
    """Seconds that a Retry-After header asks for: a number or a date; 0.0 for none or nonsense."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _parameter(value: str | int | bool | list[str]) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _proxy(endpoint: str) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(endpoint)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
