"""One HTTP call: a reply, or trouble with whether it is transient and whether it may have been charged for."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from limbeck.errors import ConfigError
from limbeck.teachers.chat.endpoint import Endpoint, read_key
from limbeck.teachers.chat.said import Body, KeyCutter, Unreadable, excerpt, parse_json
from limbeck.teachers.chat.trouble import Trouble, error_in, said_error, trouble_of

if TYPE_CHECKING:
    import aiohttp

__all__ = ["LEAST_ROOM", "Reply", "Transport", "known_certificates"]

LEAST_ROOM = 4 * 2**20
"""Maximum bytes of an answer, in addition to those of its tokens."""
_LONGEST_CONNECT_S = 15.0
_LONGEST_HEADER = 2**16
"""Answers with longer header lines would be lost, though paid for."""
_LONGEST_NAME = 200
_MOST_TOKENS = 10**8
"""More tokens than any model handles: a larger usage is invalid."""


@dataclass(frozen=True)
class Reply:
    """A complete, readable answer of the API."""

    choices: list[Mapping[str, Any]]
    usage: tuple[int, int] | None
    """Tokens of prompt and answer, if the API reports them."""
    served_model: str | None
    """One printable line."""


@cache
def known_certificates() -> ssl.SSLContext:
    """Read the certificates of this machine once: it takes as long as a fast answer."""
    return ssl.create_default_context()


class Transport:
    """Open connections to one endpoint, one per concurrent call. Use it as an asynchronous context manager.

    Creation raises `ConfigError` if the key is not in the environment, or the proxy that the environment names is of
    an unsupported kind.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        key = read_key(endpoint)
        self._cutter = KeyCutter(key)
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate"}
        self._headers |= {"Authorization": f"Bearer {key}"} if key else {}
        self._proxy = _proxy_for(endpoint.url)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Transport:
        import aiohttp

        whole_s = self._endpoint.timeout_s  # connecting times out sooner, so it is known that nothing was sent
        self._session = aiohttp.ClientSession(
            # Not trust_env: it looks for a proxy before each call, and sends passwords from ~/.netrc. And no headers
            # here: those of a session also go to its proxy, including the key.
            proxy=self._proxy,
            timeout=aiohttp.ClientTimeout(total=None, connect=min(_LONGEST_CONNECT_S, whole_s / 2)),
            connector=aiohttp.TCPConnector(limit=0, ssl=known_certificates()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a small body may decompress to gigabytes: `Body` counts
            max_field_size=_LONGEST_HEADER,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, body: bytes, most_bytes: int = LEAST_ROOM) -> Reply | Trouble:
        """Make one call. Never raises, whatever the server or network does.

        Args:
            body: the request's body.
            most_bytes: maximum size of the answer, uncompressed.
        """
        import aiohttp

        endpoint = self._endpoint
        not_connected = f"could not connect to {endpoint.base_url}"
        try:
            async with (
                asyncio.timeout(endpoint.timeout_s),
                self._session.post(endpoint.url, data=body, headers=self._headers, allow_redirects=False) as response,
            ):
                return await self._read(response, most_bytes)
        # The texts of some of these errors contain the proxy's password.
        except aiohttp.ClientHttpProxyError as error:
            return Trouble("connection", f"{not_connected}: the proxy answered {error.status}")
        except aiohttp.ClientConnectorError as error:
            why = error.strerror or str(error.os_error)
            return Trouble("connection", f"{not_connected}: {excerpt(self._cutter.text(why))}", unreachable=True)
        except aiohttp.ConnectionTimeoutError:
            return Trouble("connection", f"{not_connected}: timed out")
        except (aiohttp.InvalidURL, UnicodeError):
            return Trouble("connection", f"{not_connected}: its address, or that of a proxy, is invalid")
        except TimeoutError:
            return Trouble("timeout", f"no whole answer within {endpoint.timeout_s:g} s", charged=True)
        except aiohttp.ClientError as error:  # its text may quote the answer, in its own spelling
            return Trouble("connection", f"the answer was cut: {type(error).__name__}", charged=True)

    async def _read(self, response: aiohttp.ClientResponse, most_bytes: int) -> Reply | Trouble:
        ok, fault = response.status == 200, None
        body = Body(response.headers.get("Content-Encoding", ""), most_bytes if ok else LEAST_ROOM)
        try:
            async for part in response.content.iter_any():
                body.add(part)
        except Unreadable as error:
            fault = f"the answer {error}"
        if ok and fault is not None:
            return Trouble("malformed", fault, 200, charged=True)
        said = body.text()
        value = self._cutter.value(parse_json(said))
        whole = ok and isinstance(value, dict) and bool(value.get("choices"))
        text = "" if whole else self._cutter.text(said)  # of unreadable answers, to be shown
        retry_after = response.headers.get("Retry-After")
        if ok:
            return _read_reply(value, text, retry_after)
        return trouble_of(response.status, said_error(value, text), retry_after)


def _proxy_for(url: str) -> str | None:
    """Return the HTTP proxy that the environment names for an address (``HTTPS_PROXY``, ``NO_PROXY``, ...)."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not _is_address(proxy):
        raise ConfigError(
            f"the environment names a proxy for {url} whose address cannot be read (it may hold a password, so it is "
            "not shown). Expected http://host:port, or http://user:password@host:port with %23 for # in a password, "
            "%2F for /, %3F for ?, %40 for @ and %25 for %"
        )
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise ConfigError(
            f"the environment names a {urlsplit(proxy).scheme} proxy for {url}; only HTTP proxies can be "
            "used. Use another one, or put the host into NO_PROXY"
        )
    return proxy


def _is_address(proxy: str) -> bool:
    """Return whether it ends with its host: a password with a # would be cut there, and shown."""
    try:
        parts = urlsplit(proxy)
        port = parts.port
    except ValueError:
        return False
    plain = proxy.isprintable() and not set(" ?#") & set(proxy)
    return plain and bool(parts.hostname) and port != 0 and parts.path in ("", "/")


def _read_reply(value: Any, text: str, retry_after: str | None) -> Reply | Trouble:
    fields = value if isinstance(value, dict) else {}
    found = fields.get("choices")
    choices = found if isinstance(found, list) and all(isinstance(choice, dict) for choice in found) else []
    usage = _read_usage(fields.get("usage"))
    error = error_in(value, text)
    if error is None and choices and all(choice.get("error") for choice in choices):
        error = error_in(choices[0], "")
    if error is not None:
        return trouble_of(200, error, retry_after, charged=any(map(_says_something, choices)), usage=usage)
    if value is None:
        return Trouble("malformed", f"the answer is not JSON: {excerpt(text)}", 200, charged=True)
    if not choices:
        return Trouble("malformed", f"the answer has no choices: {excerpt(text)}", 200, charged=True, usage=usage)
    served = fields.get("model")
    return Reply(choices, usage, excerpt(served, _LONGEST_NAME) or None if isinstance(served, str) else None)


def _says_something(choice: Mapping[str, Any]) -> bool:
    message = choice.get("message")
    said = message if isinstance(message, dict) else {}
    return any((choice.get("text"), said.get("content"), said.get("reasoning_content"), said.get("reasoning")))


def _read_usage(value: Any) -> tuple[int, int] | None:
    if not isinstance(value, dict):
        return None
    prompt, completion = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens", 0))
    return None if prompt is None or completion is None else (prompt, completion)


def _count(value: Any) -> int | None:
    """Return a count; some servers write whole numbers as 12.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None
