"""One HTTP call: a reply, or trouble that says whether it may pass and whether it may have been charged for."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from limbeck.errors import ConfigError
from limbeck.teachers.chat.answer import FailureKind
from limbeck.teachers.chat.endpoint import Endpoint, read_key
from limbeck.teachers.chat.retry import retry_after_s

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Reply", "Transport", "Trouble", "known_certificates"]

_PASSING = {408, 409, 425, 429}
"""Statuses after which the same call may succeed; and all of 500 and above."""
_FATAL = {401, 402, 403, 404}
"""Statuses that every other call would get as well: no valid key, no money, no such model or address."""
_LONGEST_DETAIL = 300
_LONGEST_CONNECT_S = 15.0
_LONGEST_HEADER = 2**16
"""An answer with a longer one would be lost, though paid for."""
_SHORTEST_SECRET = 12
"""Shorter keys ("EMPTY", "none") are no secrets but stand-ins for servers without keys, and ordinary words."""


@dataclass(frozen=True)
class Reply:
    """A whole, readable answer of the API."""

    choices: list[Mapping[str, Any]]
    usage: tuple[int, int] | None
    """Tokens of prompt and answer, where the API says them."""
    served_model: str | None


@dataclass(frozen=True)
class Trouble:
    """No answer."""

    kind: FailureKind
    detail: str
    status: int | None = None
    may_pass: bool = True
    fatal: bool = False
    """Whether any other call would fail as well."""
    unreachable: bool = False
    """Whether no connection came about: it is refused, its host is unknown, its certificate is not trusted."""
    charged: bool = False
    """Whether the provider may have charged for it: it was sent, and the server did not say that it failed."""
    retry_after_s: float | None = None


@cache
def known_certificates() -> ssl.SSLContext:
    """Read the certificates of this machine, once: it takes as long as a fast answer."""
    return ssl.create_default_context()


class Transport:
    """Open connections to one endpoint, as many as there are calls at once. Use it as an asynchronous context manager.

    Raises `ConfigError` on creation where the key is not in the environment, or the proxy that the environment names
    is of a kind that cannot be used.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        key = read_key(endpoint)
        self._secret = key if key and len(key) >= _SHORTEST_SECRET else None
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._proxy = _proxy_for(endpoint.url)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Transport:
        import aiohttp

        whole_s = self._endpoint.timeout_s  # connecting ends sooner, so that it is known that nothing was sent
        self._session = aiohttp.ClientSession(
            # Not trust_env: that looks for a proxy before each call, and sends passwords from ~/.netrc. And no headers
            # here: those of a session go to its proxy as well, the key among them.
            proxy=self._proxy,
            timeout=aiohttp.ClientTimeout(total=None, connect=min(_LONGEST_CONNECT_S, whole_s / 2)),
            connector=aiohttp.TCPConnector(limit=0, ssl=known_certificates()),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_field_size=_LONGEST_HEADER,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, body: bytes) -> Reply | Trouble:
        """Make one call. Never raises on what a server or a network can do."""
        import aiohttp

        endpoint = self._endpoint
        not_connected = f"could not connect to {endpoint.base_url}"
        try:
            async with (
                asyncio.timeout(endpoint.timeout_s),
                self._session.post(endpoint.url, data=body, headers=self._headers, allow_redirects=False) as response,
            ):
                said = (await response.read()).decode("utf-8", "replace")
        except aiohttp.ClientHttpProxyError as error:  # its text may hold the proxy's password
            return Trouble("connection", f"{not_connected}: the proxy answered {error.status}")
        except aiohttp.ClientConnectorError as error:
            why = error.strerror or str(error.os_error)
            return Trouble("connection", f"{not_connected}: {self._without_key(why)}", unreachable=True)
        except (aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL, UnicodeError) as error:
            return Trouble("connection", f"{not_connected}: {self._without_key(str(error))}")
        except TimeoutError:
            return Trouble("timeout", f"no whole answer within {endpoint.timeout_s:g} s", charged=True)
        except aiohttp.ClientError as error:  # its text may quote what came, in a spelling of its own
            return Trouble("connection", f"the answer was cut: {type(error).__name__}", charged=True)
        try:
            value = self._json_without_key(said)
        except (ValueError, RecursionError):
            value = None
        text = self._without_key(said)
        if response.status != 200:
            return self._trouble(response.status, response.headers.get("Retry-After"), value, text)
        return _read_reply(value, text)

    def _trouble(self, status: int, retry_after: str | None, value: Any, text: str) -> Trouble:
        code, message = _read_error(value, text)
        detail = f"HTTP {status}" + (f": {message}" if message else "")
        if code == "insufficient_quota" or status in _FATAL:
            return Trouble("rejected", detail, status, may_pass=False, fatal=True)
        if status in _PASSING or status >= 500:
            kinds: dict[int, FailureKind] = {429: "rate_limited", 408: "timeout"}
            wait = retry_after_s(retry_after, time.time())
            return Trouble(kinds.get(status, "server_error"), detail, status, retry_after_s=wait)
        if status < 400:
            detail += "; expected 200. base_url may be that of another service, or redirect, which is not followed"
            return Trouble("rejected", detail, status, may_pass=False, fatal=True)
        kind: FailureKind = "refused" if code == "content_filter" else "rejected"
        return Trouble(kind, detail, status, may_pass=False)

    def _without_key(self, text: str) -> str:
        """Return what a server or a library said; some servers repeat the key."""
        return text.replace(self._secret, "(key)") if self._secret else text

    def _json_without_key(self, text: str) -> Any:
        """Parse JSON. A key in it may be written with escapes, so it is looked for in the parsed value."""
        value = json.loads(text)
        if self._secret:
            plain, secret = json.dumps(value), json.dumps(self._secret)[1:-1]
            if secret in plain:
                return json.loads(plain.replace(secret, "(key)"))
        return value


def _proxy_for(url: str) -> str | None:
    """Return the HTTP proxy that the environment names for an address (``HTTPS_PROXY``, ``NO_PROXY``, ...)."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise ConfigError(
            f"the environment names a proxy for {url} that speaks {urlsplit(proxy).scheme}; only HTTP proxies can be "
            "used. Name another one, or put the host into NO_PROXY"
        )
    return proxy


def _read_reply(value: Any, text: str) -> Reply | Trouble:
    if value is None:
        return Trouble("malformed", f"the answer is not JSON: {_excerpt(text)}", 200, charged=True)
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        return Trouble("malformed", f"the answer has no choices: {_excerpt(text)}", 200, charged=True)
    served = value.get("model")
    return Reply(choices, _read_usage(value.get("usage")), served if isinstance(served, str) and served else None)


def _read_usage(value: Any) -> tuple[int, int] | None:
    if not isinstance(value, dict):
        return None
    prompt, completion = value.get("prompt_tokens"), value.get("completion_tokens", 0)
    if not isinstance(prompt, int) or not isinstance(completion, int) or min(prompt, completion) < 0:
        return None
    return prompt, completion


def _read_error(value: Any, text: str) -> tuple[str | None, str]:
    """Return code and message of an API's error, in whatever shape it comes."""
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return None, _excerpt(text)
    code = error.get("code") or error.get("type")
    message = error.get("message") or error.get("detail") or text
    return code if isinstance(code, str) else None, _excerpt(str(message))


def _excerpt(text: str) -> str:
    """Shorten foreign text to one line that can be printed."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _LONGEST_DETAIL]).split())
    return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"
