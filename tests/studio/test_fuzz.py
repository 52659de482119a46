"""A thousand requests that nobody would send: no traceback, and nothing of the disk."""

from __future__ import annotations

import random
from urllib.parse import quote, unquote

from tests.studio.conftest import MOVED, OWN, PORT, SECRET

REQUESTS = 1000
PATHS = (
    "/", "/artifacts", "/artifact", "/runs", "/run", "/picture", "/generate", "/advice", "/task",
    "/stop", "/studio.css", "/icon.svg", "/static/studio.css", "/templates/base.html.jinja",
)  # fmt: skip
FIELDS = (
    "kind", "name", "id", "backbone", "module", "system", "prompt", "tokens", "from", "to", "token",
    "what", "seed", "temperature",
)  # fmt: skip
ODD = (
    "", "..", "../../../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/etc/passwd", "~root",
    "~", "./secret.json", "..\\..\\secret.json", "file:///etc/passwd", "\x00", "a\x00b", "é",
    "\u202e",
    "{{ 7*7 }}", "<script>alert(1)</script>", "' or 1=1--", "%", "%zz", "%ff%fe", "\ud7ff", "💥",
    "a" * 3000, "-1", "1e999", "9" * 400, "NaN", "0x1", "１", "C:\\Windows\\win.ini", "con",
    "ref-gpt2", "ref-llama", "python-shipped@ref-gpt2", MOVED, "module", "backbone", "interface",
    "python-shipped@../../secret", "python-shipped@/etc", "@", "@@", "/d128", "ref-gpt2/d0", "\r\n",
    "manifest.json", "model.safetensors", "${jndi:ldap://x}", "|id", "`id`", "true", "[]", "null",
)  # fmt: skip
NEAR = (
    ("/artifact", f"kind=module&name={quote(MOVED)}"), ("/artifacts", "kind=module"), ("/runs", ""),
    ("/artifact", "kind=backbone&name=ref-gpt2"), ("/generate", "backbone=ref-llama"),
    ("/artifacts", "backbone=ref-t5"), ("/advice", ""), ("/", ""),
)  # fmt: skip
"""Requests that are right, before something is put beside them."""
METHODS = ("GET",) * 6 + (
    "HEAD",
    "POST",
    "POST",
    "PUT",
    "DELETE",
    "TRACE",
    "PROPFIND",
    "get",
    "\xff",
)
OWN_HOST = f"127.0.0.1:{PORT}"
HOSTS = (*(OWN_HOST,) * 8, "localhost", "evil.example", "", f"{OWN_HOST}, x", "é", "[::1")
ORIGINS = (*(None,) * 4, *(OWN["origin"],) * 4, "null", "http://evil.example", "", "file://")
TYPES = (*("application/x-www-form-urlencoded",) * 5, "application/json", "multipart/form-data", "")
NAMES = (
    "cookie", "x-forwarded-host", "x-forwarded-for", "range", "if-none-match", "accept-encoding",
    "sec-fetch-site", "authorization", "transfer-encoding", "x-original-url", "forwarded",
)  # fmt: skip


def request_of(draw: random.Random) -> dict:
    """One request, as likely to be near a page as far from any."""

    def odd() -> str:
        text = draw.choice(ODD)
        return text + draw.choice(ODD) if draw.random() < 0.2 else text

    def pairs() -> list[tuple[str, str]]:
        return [(draw.choice((*FIELDS, odd())), odd()) for _ in range(draw.randrange(5))]

    def encoded(found: list[tuple[str, str]]) -> str:
        keep = draw.choice(("", "/", "%=&"))
        return "&".join(
            f"{quote(a, keep, errors='replace')}={quote(b, keep, errors='replace')}"
            for a, b in found
        )

    path, query = draw.choice(NEAR)
    if draw.random() < 0.7:
        path, query = draw.choice(PATHS), encoded(pairs())
    if draw.random() < 0.3:
        query += f"&{encoded(pairs())}"
    if draw.random() < 0.3:
        path = f"{path.rstrip('/')}/{quote(odd(), draw.choice(('', '/.%')), errors='replace')}"
    usual = draw.random() < 0.5  # else all of it may be odd at once, and the guard sees it alone
    headers = {"host": OWN_HOST if usual else draw.choice(HOSTS)}
    headers["content-type"] = draw.choice(TYPES)
    headers |= {draw.choice(NAMES): odd() for _ in range(draw.randrange(3))}
    origin = OWN["origin"] if usual else draw.choice(ORIGINS)
    if origin is not None:
        headers["origin"] = origin
    body = encoded(pairs()).encode()
    if draw.random() < 0.2:
        body = draw.randbytes(draw.choice((1, 50, 70_000)))
    method = draw.choice(("GET", "GET", "POST") if usual else METHODS)
    return {
        "method": method, "path": path, "query": query,
        "headers": headers, "body": body,
    }  # fmt: skip


async def answer_to(app, asked: dict) -> tuple[int, bytes]:
    """The status and body that the application gives, past what a client would refuse to send."""
    path, sent = asked["path"], []
    raw = [
        (name.encode(), value.encode("utf-8", "replace"))
        for name, value in asked["headers"].items()
    ]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
        "method": asked["method"], "root_path": "", "raw_path": path.encode(),
        "path": unquote(path), "query_string": asked["query"].encode("utf-8", "replace"),
        "headers": raw, "client": ("127.0.0.1", 5), "server": ("127.0.0.1", PORT),
    }  # fmt: skip
    body = [{"type": "http.request", "body": asked["body"], "more_body": False}]

    async def receive():
        return body.pop() if body else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_a_thousand_odd_requests(shown):
    import anyio

    draw, seen, reached = random.Random(20261129), set(), 0

    async def all_of_them() -> None:
        nonlocal reached
        for _ in range(REQUESTS):
            asked = request_of(draw)
            status, body = await answer_to(shown.client.app, asked)
            assert 200 <= status < 500, asked
            for told in (SECRET.encode(), b"root:x:", b"Traceback", b"win.ini]", b"jinja2"):
                assert told not in body, asked
            assert b"<script>" not in body, asked
            seen.add(status)
            reached += status == 200

    anyio.run(all_of_them)
    assert shown.faults == []
    assert {200, 400, 403, 404, 405, 421} <= seen  # it was not one refusal a thousand times
    assert reached > 100


def test_a_fault_of_a_page_is_told_and_shows_nothing(shown, monkeypatch):
    def broken(_self, *_args):
        raise ZeroDivisionError(SECRET)

    with monkeypatch.context() as patched:
        patched.setattr(type(shown.studio.runs), "found", broken)
        answer = shown.client.get("/runs")
    assert (answer.status_code, SECRET in answer.text) == (500, False)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert isinstance(shown.faults.pop(), ZeroDivisionError)
