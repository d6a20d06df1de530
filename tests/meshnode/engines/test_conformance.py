"""What every engine promises, shown on each of them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.registry import create_engine, embedded_is_installed
from tests.support.chunks import finish_reason_of, text_of
from tests.support.engines import ask, drain, read_chunks, read_text
from tests.support.local_server import local_server
from tests.support.moonshot_server import moonshot_server
from tests.support.openai_server import openai_server
from tests.support.openrouter_server import openrouter_server

STOP_S = 5.0
"""How soon work must have stopped; what is slow would take longer than this by itself."""
DELAY_MS = {False: 20, True: 300}
"""Between two pieces of an answer that is scripted."""

LONG = ask("Tell me a very long story about the sea, the ships and the people of the coast.")


@asynccontextmanager
async def make_echo(*, slow=False, **options):
    yield create_engine("echo", {"delay_ms": DELAY_MS[slow]} | options)


@asynccontextmanager
async def make_openai_compatible(*, slow=False, **options):
    async with openai_server(delay_ms=DELAY_MS[slow]) as server:
        yield create_engine("openai_compatible", {"base_url": server.base_url} | options)


@asynccontextmanager
async def make_moonshot(*, slow=False, **options):
    async with moonshot_server(delay_ms=DELAY_MS[slow]) as server:
        yield create_engine(
            "moonshot", {"base_url": server.base_url, "api_key": server.key} | options
        )


@asynccontextmanager
async def make_openrouter(*, slow=False, **options):
    async with openrouter_server(delay_ms=DELAY_MS[slow]) as server:
        yield create_engine(
            "openrouter", {"base_url": server.base_url, "api_key": server.key} | options
        )


@asynccontextmanager
async def make_local(*, slow=False, **options):
    async with local_server(delay_ms=DELAY_MS[slow]) as server:
        yield create_engine("local", {"base_url": server.base_url} | options)


@asynccontextmanager
async def make_embedded(*, slow=False, **options):
    context_tokens = 4_096 if slow else 512
    yield create_engine("embedded", {"context_tokens": context_tokens, "threads": 1} | options)


MAKERS = [
    make_echo,
    make_openai_compatible,
    make_moonshot,
    make_openrouter,
    make_local,
    pytest.param(
        make_embedded,
        marks=pytest.mark.skipif(
            not embedded_is_installed(), reason="the extra 'local' is not installed"
        ),
    ),
]


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__.removeprefix("make_"))
def make(request):
    """A function that starts an engine of one kind and closes it at the end of a block."""

    @asynccontextmanager
    async def started(**options):
        async with request.param(**options) as engine:
            await engine.start()
            try:
                yield engine
            finally:
                await engine.close()

    return started


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__.removeprefix("make_"))
def make_unstarted(request):
    return request.param


async def test_answer_ends_with_one_finish_reason_and_usage(make):
    async with make() as engine:
        chunks = await read_chunks(engine, ask("What is the capital of France?"))
    with_choices = [chunk for chunk in chunks if chunk["choices"]]
    reasons = [finish_reason_of(chunk) for chunk in with_choices]
    assert reasons[-1] in {"stop", "length"}
    assert not any(reasons[:-1])
    assert with_choices[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert "".join(map(text_of, chunks)).strip()


async def test_answer_names_no_path_and_no_other_model(make):
    async with make() as engine:
        (model,) = await engine.models()
        chunks = await read_chunks(engine, ask("Hello", model=model.id, max_tokens=3))
    assert {chunk["model"] for chunk in chunks if chunk["choices"]} == {model.id}
    assert not model.id.startswith("/")
    if engine.name not in ("moonshot", "openrouter"):
        assert "kimi" not in f"{model.id}{model.label}".lower()


async def test_answer_ends_with_length_when_tokens_run_out(make):
    async with make() as engine:
        chunks = await read_chunks(engine, LONG | {"max_tokens": 2})
    assert [finish_reason_of(chunk) for chunk in chunks if chunk["choices"]][-1] == "length"
    assert chunks[-1]["usage"]["completion_tokens"] == 2


async def test_engine_answers_again_soon_when_consumer_is_cancelled(make):
    async with make(slots=1, slow=True) as engine:
        first = asyncio.Event()

        async def consume():
            async for _ in engine.chat(LONG):
                first.set()

        task = asyncio.create_task(consume())
        await first.wait()
        task.cancel()
        async with asyncio.timeout(STOP_S):
            with pytest.raises(asyncio.CancelledError):
                await task
            await anext(engine.chat(ask("Hello", max_tokens=1)))


async def test_engine_answers_again_soon_when_iterator_is_closed(make):
    async with make(slots=1, slow=True) as engine:
        answer = engine.chat(LONG)
        await anext(answer)
        async with asyncio.timeout(STOP_S):
            await answer.aclose()
            again = engine.chat(ask("Hello", max_tokens=1))
            await anext(again)
        await again.aclose()


async def test_requests_beyond_the_slots_wait_for_their_turn(make):
    running: list[int] = []
    finished: list[int] = []

    async def consume(engine, number):
        async for _ in engine.chat(ask("Count to three.", max_tokens=5)):
            if number not in running:
                assert sorted(running) == sorted(finished)
                running.append(number)
        finished.append(number)

    async with make(slots=1) as engine:
        assert engine.slots == 1
        await asyncio.gather(*(consume(engine, number) for number in range(3)))
    assert finished == [0, 1, 2]


async def test_engine_refuses_as_overload_when_too_many_wait(make):
    async with make(slots=1, waiting_max=0) as engine:
        answer = engine.chat(LONG)
        await anext(answer)
        with pytest.raises(EngineError) as caught:
            await read_chunks(engine, LONG)
        await answer.aclose()
    assert caught.value.fault is EngineFault.OVERLOADED
    assert caught.value.may_retry_elsewhere
    assert caught.value.retry_after_ms


async def test_close_ends_answers_and_waiting_requests_with_an_error(make):
    async with make(slots=1, slow=True) as engine:
        first = asyncio.Event()

        async def consume():
            async for _ in engine.chat(LONG):
                first.set()

        tasks = [asyncio.create_task(consume()) for _ in range(2)]
        await first.wait()
        async with asyncio.timeout(STOP_S):
            await engine.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    faults = [result.fault for result in results if isinstance(result, EngineError)]
    assert faults == [EngineFault.UNREACHABLE, EngineFault.UNREACHABLE]


async def test_close_by_the_consumer_itself_ends_its_answer_with_an_error(make):
    async with make() as engine:
        answer = engine.chat(LONG | {"max_tokens": 400})
        await anext(answer)
        await engine.close()
        with pytest.raises(EngineError) as caught:
            await drain(answer)
    assert caught.value.fault is EngineFault.UNREACHABLE


def engine_tasks():
    """Every task but this test's own and those of the stand-in's connections."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return [task for task in others if "RequestHandler" not in repr(task.get_coro())]


async def test_no_thread_and_no_task_is_left_when_closed(make):
    async with make() as engine:
        await read_text(engine, ask("Hello", max_tokens=2))
        answer = engine.chat(LONG)
        await anext(answer)
        await engine.close()
        await answer.aclose()
        assert engine_tasks() == []
        assert [thread for thread in threading.enumerate() if "meshnode" in thread.name] == []


async def test_chat_fails_with_an_error_when_closed_and_close_is_repeatable(make):
    async with make() as engine:
        await engine.close()
        await engine.close()
        with pytest.raises(EngineError) as caught:
            await read_chunks(engine, LONG)
    assert caught.value.fault is EngineFault.UNREACHABLE


async def test_close_is_harmless_when_never_started(make_unstarted):
    async with make_unstarted() as engine:
        await engine.close()
        with pytest.raises(EngineError):
            await read_chunks(engine, LONG)


@pytest.mark.parametrize(
    ("request_body", "fault"),
    [
        ({"messages": []}, EngineFault.BAD_REQUEST),
        (ask("Hello", model="gpt-nothing"), EngineFault.MODEL_NOT_FOUND),
    ],
)
async def test_chat_fails_with_the_fault_of_a_bad_request(make, request_body, fault):
    async with make() as engine:
        with pytest.raises(EngineError) as caught:
            await read_chunks(engine, request_body)
        assert caught.value.fault is fault
        assert not caught.value.may_retry_elsewhere
        assert "\n" not in str(caught.value)
