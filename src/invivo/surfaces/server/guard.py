"""Who may ask, and what a browser may do with the answer.

The server stands on this machine for the person in front of it, so what must be kept out is other people's pages: one
that has the browser ask a name which points here (DNS rebinding: the Host is foreign), and one that posts across
(the Origin is foreign). No answer carries a CORS header, and the page may load from this server only.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_BODY = 1_000_000  # bytes
COOKIE = "invivo_token"
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'; "
        b"base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class Guard:
    """ASGI middleware that refuses before anything is read. `hosts`: names that the server answers to."""

    def __init__(self, app: Any, hosts: tuple[str, ...] = LOOPBACK, token: str | None = None) -> None:
        self.app, self.hosts, self.token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no web sockets are served
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self.refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if self.token is not None and scope["method"] == "GET" and _same(given, self.token):
            cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, "", "", ((b"location", b"/"), (b"set-cookie", cookie.encode())))
            return

        async def dressed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message.get("headers", ())}
                more = [(b"cache-control", b"no-store")] if b"cache-control" not in own else []
                message["headers"] = [*message.get("headers", ()), *HEADERS, *more]
            await send(message)

        await self.app(scope, _bounded(receive), dressed)

    def refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
        """Status, what is wrong and what to do, where a request is not to be answered."""
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            return 400, f"this server does not answer to the name {host!r}", f"open it as http://{self.hosts[0]}"
        unsafe = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if unsafe:
            origin = headers.get("origin")
            if headers.get("sec-fetch-site") == "cross-site" or (
                origin is not None and urlsplit(origin).netloc != host
            ):
                return 403, "the request comes from another site's page", "use the page that this server gives"
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > LARGEST_BODY:
                return 413, f"the request has more than {LARGEST_BODY:,} bytes", "shorten the text"
            if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json" and (
                length != "0" or "transfer-encoding" in headers
            ):
                return 415, "a request's body must be application/json", "send JSON with that content type"
        if self.token is not None and not self._knows(scope, headers):
            return 401, "a token is needed", "open the address that `invivo serve` printed"
        return None

    def _knows(self, scope: Scope, headers: dict[str, str]) -> bool:
        token = self.token or ""
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return any(_same(given, token) for given in (morsel.value if morsel else "", bearer, asked))


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _name(host: str) -> str:
    """A Host header's name without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _bounded(receive: Receive) -> Receive:
    """Cut a body of no told length off where it grows too large."""
    seen = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            return {"type": "http.disconnect"}
        return message

    return bounded


async def _answer(send: Send, status: int, what: str, hint: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    body = json.dumps({"what": what, "hint": hint, "field": None}).encode() if what else b""
    lines = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS, *headers]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
