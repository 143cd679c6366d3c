"""What a client may cost before it has shown a token: bytes, requests, time and connections."""

import asyncio
import gc
import json
import weakref

import pytest

from tests.sockets import AUTHORIZED, SMUGGLED, answer, eventually, get, memory, post, serving, whole

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
async def test_a_header_beyond_the_bound_is_refused(end: bytes) -> None:
    async with serving(http_header_max=2048) as site:
        told = await site.all_of(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000 + end)
        assert told.startswith(b"HTTP/1.1 431 "), told
        assert b'"code":"header_too_large"' in told
        reader, _ = await site.open(get("/health/live", b"X: " + b"x" * 1900))
        assert (await answer(reader))[0] == 200


async def test_a_header_without_end_is_never_kept() -> None:
    async with serving() as site:
        before = memory()
        connections = [await site.open(b"GET / HTTP/1.1\r\nHost: a\r\nX: ") for _ in range(10)]

        async def pour(writer: asyncio.StreamWriter) -> None:
            try:
                for _ in range(160):
                    writer.write(b"x" * 65536)
                    await writer.drain()
            except ConnectionError:
                pass

        await asyncio.gather(*(pour(writer) for _, writer in connections))
        assert memory() - before < 20
        await eventually(lambda: not site.server.server_state.connections)  # well before what a body may take


async def test_too_many_header_lines_are_refused() -> None:
    async with serving(http_headers_max=10) as site:
        reader, _ = await site.open(get("/health/live", *[b"a:"] * 9))
        assert (await answer(reader))[0] == 200
        assert (await site.all_of(get("/health/live", *[b"a:"] * 10))).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("part", [b"3;" + b"x" * 5000, b"1\r\na\r\n0\r\nTrailer: " + b"x" * 8000])
async def test_chunk_extensions_and_trailers_are_bounded(part: bytes) -> None:
    async with serving(http_header_max=2048) as site:
        told = await site.all_of(post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + part)
        assert told.startswith(b"HTTP/1.1 431 "), told


async def test_a_handler_that_waits_ends_with_its_connection() -> None:
    async with serving() as site:
        _, writer = await site.open(get("/patient"))
        await eventually(lambda: site.executed == ["/patient"])
        writer.close()
        await eventually(lambda: site.executed == ["/patient", "its end"])


async def test_a_pipeline_is_bounded_and_answered_in_order() -> None:
    async with serving(http_pipeline_max=4) as site:
        reader, _ = await site.open(get("/wait") * 2 + b"".join(post(b"%d" % n) for n in range(500)))
        await eventually(lambda: site.executed == ["/wait"])
        (connection,) = site.server.server_state.connections
        assert len(connection.pipeline) == 3
        assert connection.flow.read_paused
        site.gate.set()
        assert [await answer(reader) for _ in range(2)] == [(200, b'"waited"')] * 2
        bodies = [json.loads((await answer(reader))[1])["body"] for _ in range(500)]
        assert bodies == [str(n) for n in range(500)]


async def test_a_refusal_comes_after_the_answers_before_it() -> None:
    async with serving() as site:
        reader, _ = await site.open(get("/wait") + b"nonsense\r\n\r\n" + SMUGGLED)
        await eventually(lambda: site.executed == ["/wait"])
        site.gate.set()
        assert await answer(reader) == (200, b'"waited"')
        assert (await answer(reader))[0] == 400
        assert site.executed == ["/wait"]


async def test_answers_that_nobody_reads_cost_little_and_leave_nothing() -> None:
    async with serving(http_body_timeout=1.0) as site:
        before = memory()
        connections = [await site.open() for _ in range(10)]
        gc.disable()
        try:
            for _, writer in connections:
                writer.write(get("/big") * 10_000)
            await eventually(lambda: all(one.flow.write_paused for one in site.server.server_state.connections), 30)
            alive = [weakref.ref(one) for one in site.server.server_state.connections]
            assert memory() - before < 50
            await eventually(lambda: not site.server.server_state.connections, 10)
            await eventually(lambda: not any(ref() for ref in alive), 2)
        finally:
            gc.enable()


@pytest.mark.parametrize("start", [b"GET", get()[:-2], get() + b"G"])
async def test_a_header_has_its_time(start: bytes) -> None:
    async with serving(http_head_timeout=0.3) as site:
        reader, writer = await site.open(start)
        for _ in range(4):  # a byte now and then does not prolong it
            await asyncio.sleep(0.1)
            writer.write(b"\r" if start.endswith(b"a") else b"x")
        assert b"HTTP/1.1 408 " in await whole(reader)


async def test_a_client_that_says_nothing_is_sent_away() -> None:
    async with serving(http_head_timeout=0.2) as site:
        assert await site.all_of() == b""


async def test_a_body_has_its_time_and_is_not_executed() -> None:
    async with serving(http_body_timeout=0.3) as site:
        reader, writer = await site.open(post(b"x" * 100)[:-90])
        for _ in range(4):
            await asyncio.sleep(0.1)
            writer.write(b"y")
        told = await whole(reader)
        assert told.startswith(b"HTTP/1.1 408 "), told
        assert told.count(b"HTTP/1.1") == 1
        assert site.executed == []


async def test_a_body_that_nobody_wants_has_its_time_too() -> None:
    async with serving(http_body_timeout=0.3) as site:
        reader, _ = await site.open(post(b"x" * 100)[:-90].replace(b"/echo", b"/nowhere"))
        told = await whole(reader)
        assert told.startswith(b"HTTP/1.1 404 "), told
        assert told.count(b"HTTP/1.1") == 1


async def test_whoever_sends_too_much_can_read_that_it_is_too_much() -> None:
    async with serving() as site:
        told = await site.all_of(post(b"x" * 1_000_000))
        assert told.startswith(b"HTTP/1.1 413 ")


async def test_half_a_request_does_not_delay_a_stop() -> None:
    async with serving() as site:
        halves = [await site.open(sent) for sent in (b"", b"GET", post(b"x" * 10)[:-5], get(), get("/big") * 9)]
        slow, _ = await site.open(get("/wait"))
        both, _ = await site.open(get("/wait") + post(b"x" * 10)[:-5])
        await eventually(lambda: site.executed == ["/wait"] * 2)
        clock = asyncio.get_running_loop().time
        began = clock()
        stopping = asyncio.create_task(site.server.finish())
        for reader, _ in halves[:4]:
            await whole(reader, 1)
        site.gate.set()
        assert await answer(slow) == (200, b'"waited"')
        assert (await whole(both)).count(b"HTTP/1.1 200 OK") == 1
        await stopping
        assert clock() - began < 3.5
        assert b"/echo" not in "".join(site.executed).encode()


@pytest.mark.parametrize(
    "half",
    [
        get()[:-2] + b"X: " + b"x" * 20_000,
        post(b"x" * 40_000)[:-20_000],
        get("/wait") * 2 + post(b"x" * 20_000),
        get("/big") * 20,
    ],
)
async def test_what_strangers_leave_unfinished_is_bounded_all_together(half: bytes) -> None:
    async with serving(http_unfinished_max=2_000_000, http_pipeline_max=2) as site:
        reader, writer = await site.open(get("/mine", AUTHORIZED))
        assert (await answer(reader))[0] == 200
        first, _ = await site.open(half)
        for _ in range(120):
            await site.open(half)
        await whole(first)
        await eventually(lambda: sum(one.unfinished for one in site.server.server_state.connections) <= 2_000_000)
        site.gate.set()
        writer.write(get("/mine", AUTHORIZED))
        assert (await answer(reader))[0] == 200


async def test_at_the_bound_the_longest_idle_stranger_goes() -> None:
    async with serving(http_connections_max=4) as site:
        known, knowing = await site.open(get("/mine", AUTHORIZED))
        assert await answer(known) == (200, b'"alice"')
        strangers = [await site.open(get()) for _ in range(3)]
        for reader, _ in strangers:
            assert (await answer(reader))[0] == 200
        strangers[0][1].write(get())
        assert (await answer(strangers[0][0]))[0] == 200
        fresh, _ = await site.open(get())
        assert (await answer(fresh))[0] == 200
        assert await whole(strangers[1][0]) == b""
        for reader, writer in (strangers[0], strangers[2], (known, knowing)):
            writer.write(get())
            assert (await answer(reader))[0] == 200


async def test_no_new_client_is_refused_when_all_are_known() -> None:
    async with serving(http_connections_max=2) as site:
        busy, _ = await site.open(get("/mine", AUTHORIZED) + get("/wait"))
        idle, _ = await site.open(get("/mine", AUTHORIZED))
        assert [(await answer(reader))[0] for reader in (busy, idle)] == [200, 200]
        await eventually(lambda: site.executed == ["/wait"])
        fresh, _ = await site.open(get())
        assert (await answer(fresh))[0] == 200
        assert await whole(idle) == b""
        site.gate.set()
        assert await answer(busy) == (200, b'"waited"')
