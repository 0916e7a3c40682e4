"""What stands in front of the application: strangers, pages of other sites and floods come no further."""

import asyncio
from typing import Any

import httpx
import pytest

from woosh.serving import guard
from woosh.serving.guard import Guard
from woosh.serving.settings import ServerSettings

TOKEN = "a-token-of-some-length"


async def reads_all(_scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its whole body."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def ask(
    token: str | None = None,
    path: str = "/v1/models",
    host: str = "127.0.0.1:8765",
    headers: dict[str, str] | None = None,
    content: Any = None,
) -> int:
    async def asking() -> int:
        transport = httpx.ASGITransport(Guard(reads_all, token))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            answer = await client.request("POST", path, headers=headers, content=content)
            assert answer.status_code == 200 or "detail" in answer.json()
            return answer.status_code

    return asyncio.run(asking())


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "[::1]:8765"])
def test_this_machine_may_ask(host: str) -> None:
    assert ask(host=host) == 200


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org:8765", "192.168.0.2"])
def test_other_names_may_not_without_a_token(host: str) -> None:
    """A page whose name was given the address 127.0.0.1 would read what it likes."""
    assert ask(host=host) == 403
    assert ask(TOKEN, host=host, headers={"Authorization": f"Bearer {TOKEN}"}) == 200


@pytest.mark.parametrize(
    "origin", ["https://example.org", "null", "http://127.0.0.1:9", "http://["]
)
def test_pages_of_other_sites_may_not_ask(origin: str) -> None:
    assert ask(headers={"Origin": origin}) == 403
    assert ask(headers={"Origin": "http://127.0.0.1:8765"}) == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": f"bearer {TOKEN}"}, 200),
        ({"xi-api-key": TOKEN}, 200),
        ({"xi-api-key": "Ü"}, 401),
    ],
)
def test_the_token_is_needed(headers: dict[str, str], status: int) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    assert ask(TOKEN, headers=encoded) == status  # type: ignore[arg-type]
    assert ask(TOKEN, path="/v1/health") == 200


def test_bodies_are_bounded_whether_told_or_not() -> None:
    """A body without a told length is counted as it comes; the inner application gets the error as HTTP's."""
    large = b"x" * (guard.MOST_TEXT_BYTES + 1)

    async def in_pieces() -> Any:
        for _ in range(3):
            yield large[: len(large) // 2]

    assert ask(path="/v1/generate", content=large[1:]) == 200
    assert ask(path="/v1/generate", content=large) == 413
    with pytest.raises(guard.HTTPException) as refused:
        ask(path="/v1/generate", content=in_pieces())
    assert refused.value.status_code == 413
    assert ask(path="/v1/edit", content=large) == 413
    upload = {"Content-Type": "multipart/form-data; boundary=x"}
    assert ask(path="/v1/edit", content=large, headers=upload) == 200


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PIECE_SECONDS", 0.01)

    async def slow() -> Any:
        yield b"x"
        await asyncio.sleep(10)

    with pytest.raises(guard.HTTPException) as refused:
        ask(path="/v1/generate", content=slow())
    assert refused.value.status_code == 408


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.2", "::", ""])
def test_other_hosts_need_a_token(host: str, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="add --token"):
        ServerSettings(tmp_path, (), host=host)
    assert ServerSettings(tmp_path, (), host=host, token=TOKEN).token == TOKEN


@pytest.mark.parametrize(
    "token", ["short", "", "with spaces in it, and long", "ümlaute-sind-lang-genug"]
)
def test_a_token_is_long_and_fits_into_a_header(token: str, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="16 printable characters"):
        ServerSettings(tmp_path, (), token=token)
