"""One HTTP call on the wire: certificates, proxies, and what goes to whom."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from limbeck.errors import ConfigError
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.transport import Reply, Transport, known_certificates
from limbeck.teachers.chat.trouble import Trouble

KEY = "sk-planted-\\'\"-0123456789"
"""With characters that Python shows in more than one way."""
WITH_PASSWORD, WITHOUT = "http://me:hunter2@127.0.0.1:{}", "127.0.0.1:{}"
ANSWER = b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n%s\r\n{"choices": [{}]}'
PLAIN = ANSWER % b""


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PLANTED_KEY", KEY)


def call(
    answer: bytes, endpoint: Callable[[int], ChatEndpoint], tls: ssl.SSLContext | None = None
) -> tuple[Reply | Trouble, bytes]:
    """Make a call to a port of this machine where `answer` is all that is said; return also what arrived there."""
    heard = b""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def run() -> Reply | Trouble:
        server = await asyncio.start_server(say, "127.0.0.1", 0, ssl=tls)
        async with server, Transport(endpoint(server.sockets[0].getsockname()[1])) as transport:
            return await transport.send(b"{}")

    return asyncio.run(run()), heard


def direct(port: int) -> ChatEndpoint:
    return ChatEndpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m", key_env="PLANTED_KEY", timeout_s=5)


def behind_proxy(monkeypatch: pytest.MonkeyPatch, scheme: str, proxy: str) -> Callable[[int], ChatEndpoint]:
    """An endpoint that cannot be reached but through the server, which is the proxy that the environment names."""

    def endpoint(port: int) -> ChatEndpoint:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.format(port))
        return ChatEndpoint(base_url=f"{scheme}://api.invalid/v1", model="m", key_env="PLANTED_KEY", timeout_s=5)

    return endpoint


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody vouches for, with its key in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def _certificates_read_anew() -> Iterator[None]:
    known_certificates.cache_clear()
    yield
    known_certificates.cache_clear()


@pytest.mark.usefixtures("_certificates_read_anew")
def test_a_key_goes_to_known_certificates_only(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)

    def endpoint(port: int) -> ChatEndpoint:
        return direct(port).model_copy(update={"base_url": f"https://127.0.0.1:{port}/v1"})

    result, heard = call(PLAIN, endpoint, server)
    assert isinstance(result, Trouble)
    assert (result.kind, result.charged, heard) == ("connection", False, b"")
    assert "certificate verify failed" in result.detail

    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    known_certificates.cache_clear()
    result, heard = call(PLAIN, endpoint, server)
    assert isinstance(result, Reply)
    assert f"Authorization: Bearer {KEY}".encode() in heard


@pytest.mark.parametrize("proxy", [WITH_PASSWORD, WITHOUT])
def test_the_proxy_of_the_environment_is_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result, heard = call(PLAIN, behind_proxy(monkeypatch, "http", proxy))
    assert isinstance(result, Reply)
    assert heard.startswith(b"POST http://api.invalid/v1/chat/completions ")
    assert (b"Proxy-Authorization: Basic bWU6aHVudGVyMg==" in heard) == (proxy == WITH_PASSWORD)

    monkeypatch.setenv("no_proxy", "api.invalid")
    result, heard = call(PLAIN, behind_proxy(monkeypatch, "http", proxy))
    assert isinstance(result, Trouble)
    assert (result.kind, heard) == ("connection", b"")


@pytest.mark.parametrize("proxy", [WITH_PASSWORD, WITHOUT])
def test_a_proxy_that_makes_a_tunnel_never_sees_the_key(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a message about it does not show the proxy's password."""
    refusal = b"HTTP/1.1 407 Not you\r\ncontent-length: 0\r\n\r\n"
    result, heard = call(refusal, behind_proxy(monkeypatch, "https", proxy))
    assert heard.startswith(b"CONNECT api.invalid:443 ")
    assert (b"Proxy-Authorization: Basic bWU6aHVudGVyMg==" in heard) == (proxy == WITH_PASSWORD)
    assert b"planted" not in heard
    assert result == Trouble("connection", "could not connect to https://api.invalid/v1: the proxy answered 407")


def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:hunter2@127.0.0.1:1080")
    with pytest.raises(ConfigError, match=r"a socks5 proxy for .*; only HTTP proxies can be used") as caught:
        Transport(direct(80))
    assert "hunter2" not in str(caught.value)


PROXIES = [
    "http://u:a#hunter2@127.0.0.1:{}", "http://u:a/hunter2@127.0.0.1:{}", "http://u:a?hunter2@127.0.0.1:{}",
    "u:a#hunter2@127.0.0.1:{}", "http://u:hunter2@127.0.0.1:port", "http://u:hunter2@127.0.0.1:99999",
    "http://u:hunter2@127.0.0.1:0", "http://u:hunter2@", "http://u:hunter2@:{}", "http://u:hunter2@[::1",
    "http://u:hunter2@[::x]:{}", "http://u:1#hunter2@127.0.0.1:{}", "http://u:1/hunter2@127.0.0.1:{}",
    "http://u:hunter2@127.0.0.1:{}/path", "http://u:hunter2 x@127.0.0.1:{}", "http://u:hunter2\x1b@127.0.0.1:{}",
    "http:///u:hunter2@127.0.0.1:{}", "http://", "://hunter2",
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_whose_address_cannot_be_read_is_an_error_that_does_not_show_it(
    proxy: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ConfigError, match=r"proxy for https?://api\.invalid/v1/chat/completions (whose|that)"
    ) as caught:
        call(PLAIN, behind_proxy(monkeypatch, scheme, proxy))
    assert "hunter2" not in f"{caught.value!r} {caught.value.__context__!r}"


@pytest.mark.parametrize(
    "proxy", ["http://u:hunter2@a..b:{}", "http://u:hunter2@%41:{}", "http://u:hunter2@" + "x" * 70]
)
def test_a_proxy_whose_host_cannot_be_is_trouble_that_does_not_show_it(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, heard = call(PLAIN, behind_proxy(monkeypatch, "http", proxy))
    assert isinstance(result, Trouble)
    assert (result.kind, result.charged, heard) == ("connection", False, b"")
    assert "hunter2" not in repr(result)


def test_a_password_with_escapes_is_sent_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    _, heard = call(PLAIN, behind_proxy(monkeypatch, "http", "http://u:a%23b%2Fc%40d@127.0.0.1:{}"))
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"u:a#b/c@d") in heard


def test_passwords_of_other_programs_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    result, heard = call(PLAIN, lambda port: direct(port).model_copy(update={"key_env": None}))
    assert isinstance(result, Reply)
    assert b"authorization" not in heard.lower()


def test_an_answer_with_a_long_header_is_not_lost() -> None:
    result, _ = call(ANSWER % b"x-policy: %s\r\n" % (b"a" * 50_000), direct)
    assert isinstance(result, Reply)


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "ä.invalid"])
def test_a_host_that_cannot_be_costs_nothing(host: str) -> None:
    result, _ = call(PLAIN, lambda port: ChatEndpoint(base_url=f"http://{host}/v1", model="m"))
    assert isinstance(result, Trouble)
    assert (result.kind, result.charged) == ("connection", False)


@pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % KEY.encode()])
def test_what_is_no_http_may_have_been_paid_for(answer: bytes) -> None:
    result, _ = call(answer, direct)
    assert isinstance(result, Trouble)
    assert (result.kind, result.charged) == ("connection", True)
    assert "planted" not in result.detail, "the library quotes what came"


def test_an_error_without_a_text_says_its_status() -> None:
    result, _ = call(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", direct)
    assert result == Trouble("server_error", "HTTP 500", 500)


def with_body(body: bytes, *headers: str, status: int = 200) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_packed_answer_is_read() -> None:
    result, heard = call(with_body(gzip.compress(b'{"choices": [{}]}'), "content-encoding: gzip"), direct)
    assert isinstance(result, Reply)
    assert b"Accept-Encoding: gzip, deflate\r\n" in heard


@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (gzip.compress(b"\0" * 20_000_000, compresslevel=1, mtime=0), "gzip", "the answer is longer than 4 MB"),
        (b"x" * 5_000_000, "identity", "the answer is longer than 4 MB"),
        (b"no gzip", "gzip", "the answer cannot be decompressed"),
        (b"x", "br", "the answer is compressed in a way that was not requested"),
        (gzip.compress(b'{"choices": [{}]}', mtime=0)[:-12], "gzip", "the answer is not JSON"),
    ],
)
def test_a_body_that_cannot_be_read_is_malformed(body: bytes, encoding: str, words: str) -> None:
    result, _ = call(with_body(body, f"content-encoding: {encoding}"), direct)
    assert isinstance(result, Trouble)
    assert (result.kind, result.charged, result.may_pass) == ("malformed", True, True)
    assert result.detail.startswith(words)
    result, _ = call(with_body(body, f"content-encoding: {encoding}", status=503), direct)
    assert isinstance(result, Trouble)
    assert (result.kind, result.charged) == ("server_error", False)


def said(**fields: object) -> Reply | Trouble:
    return call(with_body(json.dumps({"choices": [{"text": "x"}], **fields}).encode()), direct)[0]


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2}, (3, 2)),
        ({"prompt_tokens": 3}, (3, 0)),
        ({"prompt_tokens": 3.0, "completion_tokens": 2.0}, (3, 2)),
        ({"prompt_tokens": 2**63, "completion_tokens": 1}, None),
        ({"prompt_tokens": 1, "completion_tokens": 10**30}, None),
        ({"prompt_tokens": 1, "completion_tokens": 10**400}, None),
        ({"prompt_tokens": 10**8 + 1, "completion_tokens": 1}, None),
        ({"prompt_tokens": -1, "completion_tokens": 1}, None),
        ({"prompt_tokens": 1.5, "completion_tokens": 1}, None),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, None),
        ({"prompt_tokens": True, "completion_tokens": 1}, None),
        ({"prompt_tokens": "3", "completion_tokens": None}, None),
        ({"prompt_tokens": 3, "completion_tokens": None}, None),
        ([3, 2], None),
        ("3", None),
        (None, None),
    ],
)
def test_a_usage_that_cannot_be_is_none(usage: object, counted: tuple[int, int] | None) -> None:
    result = said(usage=usage)
    assert isinstance(result, Reply)
    assert result.usage == counted


@pytest.mark.parametrize(
    ("model", "name"),
    [("gpt-4o", "gpt-4o"), ("\ud800", None), ("a\ud800b", "a b"), ("x" * 10**6, "x" * 199 + "…"), (None, None),
     ("\x1b]0;owned\x07", "]0;owned"), ("a\n\u202eb", "a b"), (3, None), ([], None), ("", None),
     (f"m of {KEY}", "m of (key)")],
)  # fmt: skip
def test_the_name_of_the_model_is_a_line_that_can_be_kept(model: object, name: str | None) -> None:
    result = said(model=model)
    assert isinstance(result, Reply)
    assert result.served_model == name


@pytest.mark.parametrize(
    ("fields", "kind", "charged"),
    [
        ({"error": {"code": 402}, "choices": []}, "rejected", False),
        ({"error": {"code": 402}, "choices": [{}]}, "rejected", False),
        ({"error": {"code": 502}}, "server_error", True),
        ({"choices": [{"error": {"code": 429}}]}, "rate_limited", False),
        (
            {"choices": [{"error": {"code": 429}, "message": {"role": "assistant", "content": ""}}]},
            "rate_limited",
            False,
        ),
        ({"choices": [{"error": {"code": 502}, "message": {"content": "Not ri"}}]}, "server_error", True),
        (
            {"choices": [{"error": {"code": 502}, "message": {"reasoning": "Is"}}, {"error": "x"}]},
            "server_error",
            True,
        ),
    ],
)
def test_an_error_beside_or_inside_choices(fields: dict[str, object], kind: str, charged: bool) -> None:
    result = said(**fields)
    assert isinstance(result, Trouble)
    assert (result.kind, result.charged) == (kind, charged), "what has begun may have been paid for"
    result = said(**fields, usage={"prompt_tokens": 7, "completion_tokens": 1})
    assert isinstance(result, Trouble)
    assert result.usage == (7, 1)


@pytest.mark.parametrize(
    "fields",
    [{"error": None}, {"error": {}}, {"error": {"code": 0, "message": "ok"}}, {"status": "completed", "code": 200},
     {"choices": [{"error": "x"}, {"text": "x"}]}, {"choices": [{"error": None}]}],
)  # fmt: skip
def test_what_is_no_error(fields: dict[str, object]) -> None:
    assert isinstance(said(**fields), Reply)
