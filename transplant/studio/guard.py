"""The guard before every page: what may come in, and the headers of what goes out."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from transplant.studio.access import Access, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST")
MAX_QUERY = 8192
"""Bytes of a path or of a query."""
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, no script at all, forms to the studio alone."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Of no other site; `no-referrer` would have forms come from the origin `null`.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware: refuses what `Access` refuses, and puts its headers on every answer.

    Args:
        app: what answers.
        access: what the headers of a request must be.
        fault: told of an exception that no page expected; the answer is a plain 500.
    """

    def __init__(self, app: ASGIApp, access: Access, fault: Callable[[Exception], None]) -> None:
        self._app, self._access, self._fault = app, access, fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket: there is none
            await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                names = {name for name, _ in message["headers"]}
                extra = [(n.encode(), v.encode()) for n, v in HEADERS.items()]
                message["headers"] = [
                    *message["headers"], *(pair for pair in extra if pair[0] not in names)
                ]  # fmt: skip
            await send(message)

        early = self._early(scope)
        try:
            await (self._app if early is None else early)(scope, receive, guarded)
        except Exception as error:
            self._fault(error)
            if not begun:
                await _plain(500, "a fault of the studio")(scope, receive, guarded)

    def _early(self, scope: Scope) -> Response | None:
        """An answer that needs no page: a refusal, or the way from a token to a cookie."""
        if scope["method"] not in METHODS:
            return _plain(405, "the studio only shows", {"allow": ", ".join(METHODS)})
        if len(scope["path"]) > MAX_QUERY or len(scope["query_string"]) > MAX_QUERY:
            return _plain(414, "the address is too long")
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        refused = self._access.refuse(scope["method"], headers)
        if refused is not None:
            return _refusal(refused)
        return None if self._access.token is None else self._by_token(scope, headers)

    def _by_token(self, scope: Scope, headers: dict[str, list[str]]) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in query if name == "token"), None)
        if given is not None and self._access.admits(given):
            left = urlencode([pair for pair in query if pair[0] != "token"])
            place = "/" + quote(scope["path"].lstrip("/")) + (f"?{left}" if left else "")
            answer = RedirectResponse(place, 303)
            answer.set_cookie(self._access.cookie, given, httponly=True, samesite="strict")
            return answer
        for value in headers.get("authorization", []):
            if value.startswith("Bearer ") and self._access.admits(value.removeprefix("Bearer ")):
                return None
        for value in headers.get("cookie", []):
            if self._access.admits(_cookie(value, self._access.cookie)):
                return None
        return _refusal(Refusal(401, "open the address with the token that the studio has printed"))


def _cookie(header: str, name: str) -> str | None:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def _refusal(refused: Refusal) -> Response:
    return _plain(refused.status, refused.what)


def _plain(status: int, what: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{status} {what}\n", status, headers)
