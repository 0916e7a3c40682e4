"""What stands in front of the application: who may ask, how much may come in, and how long that may take."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from woosh.command_line import missing_extra

try:
    from fastapi import HTTPException
except ImportError as error:
    raise missing_extra("the server needs fastapi", "serve") from error

from woosh.serving.settings import LOOPBACK
from woosh.serving.uploads import MOST_BYTES

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_TEXT_BYTES = 64 * 1024
FORM_ROOM = 64 * 1024  # bytes of a form beside its upload
PIECE_SECONDS = 30.0  # until the next piece of a body
OPEN = ("/v1/health",)  # to everybody
JSON_ROUTES = ("/v1/generate", "/v1/sound-generation")


@dataclass(frozen=True)
class Guard:
    """An application that refuses what its inner one should not see.

    Attributes:
        inner: the application.
        token: that requests must carry; None asks for none.
    """

    inner: Application
    token: str | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        try:
            self._check(scope["path"], headers)
            bounded = _bounded(receive, _most_bytes(scope["path"], headers), headers)
        except HTTPException as refused:
            await _answer(send, refused)
            return
        await self.inner(scope, bounded, send)

    def _check(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Refuse pages of other sites, and whoever lacks the token."""
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2] != host:
            raise HTTPException(403, "pages of other sites may not ask this server")
        if self.token is None:
            # A page of another site may give its own name this machine's address.
            if _name_of(host) not in LOOPBACK:
                raise HTTPException(
                    403, f"ask this server at {LOOPBACK[0]}, not under another name"
                )
        elif path not in OPEN and not self._carries_token(headers):
            raise HTTPException(
                401, "the token is missing or wrong: send Authorization: Bearer TOKEN"
            )

    def _carries_token(self, headers: dict[bytes, bytes]) -> bool:
        bearer = headers.get(b"authorization", b"")
        kind, _, given = bearer.partition(b" ")
        if kind.lower() != b"bearer":
            given = headers.get(b"xi-api-key", b"")
        return hmac.compare_digest(given.strip(), str(self.token).encode())


def _name_of(host: str) -> str:
    """The name in a header `Host`, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _most_bytes(path: str, headers: dict[bytes, bytes]) -> int:
    """Of a body: only a form of several parts may carry an upload, which goes to a file as it comes."""
    uploading = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
    return MOST_BYTES + FORM_ROOM if uploading and path not in JSON_ROUTES else MOST_TEXT_BYTES


def _bounded(receive: Receive, most: int, headers: dict[bytes, bytes]) -> Receive:
    """What gives a request's body, as far as it is not too large or too slow."""
    told, size, whole = headers.get(b"content-length", b"0"), 0, False
    if told.isdigit() and int(told[:20]) > most:
        raise HTTPException(413, f"the request has more than {most} bytes")

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal size, whole
        if whole:  # waiting for the client to go away takes as long as it takes
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), PIECE_SECONDS)
        except TimeoutError as error:
            raise HTTPException(408, "the request does not come to its end") from error
        size += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if size > most:
            raise HTTPException(413, f"the request has more than {most} bytes")
        return message

    return bounded


async def _answer(send: Send, refused: HTTPException) -> None:
    body = json.dumps({"detail": refused.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if refused.status_code == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refused.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
