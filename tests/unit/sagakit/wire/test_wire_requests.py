"""Which requests are executed, refused and answered in which order, whatever comes in whatever pieces."""

import asyncio
import json

import pytest

from tests.sockets import SMUGGLED, answer, get, post, serving, whole


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0", b"h2c, websocket"])
@pytest.mark.parametrize("name", [b"Upgrade", b"UPGRADE", b"upgrade"])
async def test_an_offer_to_upgrade_is_ignored_and_the_body_read(protocol: bytes, name: bytes) -> None:
    async with serving() as site:
        request = post(
            SMUGGLED, name + b": " + protocol, b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAE"
        )
        for split in (0, request.index(SMUGGLED), request.index(SMUGGLED) + 20):
            reader, writer = await site.open(request[:split])
            await asyncio.sleep(0.05)
            writer.write(request[split:] + get())
            status, body = await answer(reader)
            assert (status, json.loads(body)) == (200, {"body": SMUGGLED.decode(), "upgrade": None})
            assert (await answer(reader))[0] == 200
        assert site.executed == [f"/echo {SMUGGLED.decode()}"] * 3


async def test_an_offer_to_upgrade_with_a_body_in_chunks() -> None:
    async with serving() as site:
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
        head = get("/echo", b"Upgrade: h2c", b"Connection: upgrade", b"Transfer-Encoding: chunked")
        reader, _ = await site.open(head.replace(b"GET", b"POST") + chunks)
        assert (await answer(reader))[0] == 200
        assert site.executed == [f"/echo {SMUGGLED.decode()}"]


async def test_connect_is_refused_and_what_follows_is_not_executed() -> None:
    async with serving() as site:
        told = await site.all_of(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + SMUGGLED)
        assert told.startswith(b"HTTP/1.1 405 ")
        assert site.executed == []


@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
async def test_requests_in_pieces_of_any_size_are_the_same_requests(piece: int) -> None:
    async with serving() as site:
        chunked = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        pieces = b"3\r\na\r\n\r\n5;x=y\r\n\r\n\r\nb\r\n0\r\nTrailer: ignored\r\n\r\n"
        sent = post(b"one") + chunked + pieces + get() + post(b"\r\n\r\ntwo", b"Connection: close")
        reader, writer = await site.open()
        for at in range(0, len(sent), piece):
            writer.write(sent[at : at + piece] + (SMUGGLED if at + piece >= len(sent) else b""))
            await asyncio.sleep(0)
        told = await whole(reader)
        assert told.count(b"HTTP/1.1 200 OK") == 4, told
        assert site.executed == ["/echo one", "/echo a\r\n\r\n\r\nb", "/echo \r\n\r\ntwo"]


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /wait HTTP/1.1\r\n\r\n",
        b"GET /wait HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET /wait HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /wait HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"\r\n\r\n\r\nGET /wait HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /wait HTTP/1.1\nHost: a\n\n\r\n\r\n",
    ],
)
async def test_what_is_no_request_gets_400(request_head: bytes) -> None:
    async with serving() as site:
        told = await site.all_of(request_head)
        assert told.startswith(b"HTTP/1.1 400 "), told
        assert b"application/problem+json" in told
        assert site.executed == []


async def test_what_no_route_has_seen_is_counted() -> None:
    async with serving() as site:
        await site.all_of(b"nonsense\r\n\r\n")
        told = await site.all_of(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert b'method="OTHER",route="refused",status="400"} 1.0' in told


async def test_another_version_gets_505() -> None:
    async with serving() as site:
        assert (await site.all_of(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 505 ")


async def test_an_old_client_gets_no_chunks() -> None:
    async with serving() as site:
        told = await site.all_of(b"GET /pieces HTTP/1.0\r\n\r\n")
        head, _, body = told.partition(b"\r\n\r\n")
        assert body == b"one two"
        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()
        told = await site.all_of(b"GET /health/live HTTP/1.0\r\n\r\n")
        head, _, body = told.partition(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head.lower()
