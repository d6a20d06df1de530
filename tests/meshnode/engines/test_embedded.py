"""The model in this process, beyond what the conformance suite shows."""

from __future__ import annotations

import asyncio
import builtins
import hashlib
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import asynccontextmanager

import pytest

from meshnode.engines.base import CountMethod, EngineError, EngineFault
from meshnode.engines.context import bound_tokens
from meshnode.engines.embedded import EmbeddedEngine, EmbeddedOptions
from meshnode.engines.embedded_request import read_prompt_tokens
from meshnode.engines.registry import embedded_is_installed
from tests.support.chunks import finish_reason_of, text_of
from tests.support.engines import ask, drain, read_chunks, read_text

pytestmark = pytest.mark.skipif(
    not embedded_is_installed(), reason="the extra 'local' is not installed"
)

LONG_PROMPT = ask("word tiny cat " * 1_200)


@asynccontextmanager
async def started(**options):
    engine = EmbeddedEngine(EmbeddedOptions(**({"context_tokens": 512, "threads": 1} | options)))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


class FakeServer:
    """Stands for the native server where a fault is needed that it does not have on demand."""

    def __init__(self, *pieces: str, error: Exception | None = None) -> None:
        self._pieces = pieces
        self._error = error

    def handle_completions(self, body, report):
        """What the engine asks first, to see that the server works."""

    def handle_chat_completions(self, body, report):
        for piece in self._pieces:
            if report(piece):
                return
        if self._error is not None:
            raise self._error


@asynccontextmanager
async def faked(monkeypatch, server):
    xllamacpp = pytest.importorskip("xllamacpp")
    monkeypatch.setattr(xllamacpp, "Server", lambda params: server)
    async with started() as engine:
        yield engine


async def test_model_answers_a_question_with_text():
    async with started() as engine:
        chunks = await read_chunks(engine, ask("What is the capital of France?"))
        (model,) = await engine.models()
    assert "".join(map(text_of, chunks)).strip()
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert not any("prompt_progress" in chunk for chunk in chunks)
    assert model.label == "SmolLM2-135M-Instruct Q4_1"
    assert (model.tools, model.context_tokens, model.size_bytes) == (False, 512, 98_362_432)
    assert model.revision.startswith("b179c952")


async def test_engine_closes_right_after_its_start():
    for _ in range(5):
        async with asyncio.timeout(30), started():
            pass


async def test_chat_fails_with_an_error_when_not_started():
    with pytest.raises(EngineError, match="not been started"):
        await read_chunks(EmbeddedEngine(), ask("hi"))
    assert await EmbeddedEngine().models() == []


async def test_answer_is_the_same_when_seed_and_temperature_are():
    request = ask("Name a colour.", temperature=0, seed=7, max_tokens=12)
    async with started() as engine:
        assert await read_text(engine, request) == await read_text(engine, request)


async def test_two_slots_answer_side_by_side():
    async with started(slots=2) as engine:
        answers = [engine.chat(ask("Tell me a long story.", max_tokens=200)) for _ in range(2)]
        for answer in answers * 3:
            assert (await anext(answer))["choices"]
        for answer in answers:
            await answer.aclose()


async def test_prompt_over_the_context_is_refused_by_its_fault():
    async with started(context_tokens=128) as engine:
        with pytest.raises(EngineError) as caught:
            await read_chunks(engine, ask("cat dog " * 400))
        assert caught.value.fault is EngineFault.CONTEXT_OVERFLOW
        assert await read_text(engine, ask("hi", max_tokens=2))


async def test_cancelling_stops_a_prompt_that_is_still_being_read():
    async with started(context_tokens=4_096) as engine:
        task = asyncio.create_task(read_chunks(engine, LONG_PROMPT))
        await asyncio.sleep(0)  # the task runs until it waits for the model
        (work,) = engine._runs.values()
        task.cancel()
        async with asyncio.timeout(5):  # the whole prompt takes about 20 s
            with pytest.raises(asyncio.CancelledError):
                await task
            await work


async def test_event_loop_keeps_running_while_the_model_answers():
    async with started() as engine:
        answer = asyncio.create_task(read_text(engine, ask("Count to ten.", max_tokens=30)))
        turns = 0
        while not answer.done():
            await asyncio.sleep(0.001)
            turns += 1
    assert turns > 30


async def test_port_of_the_library_is_local_and_locked():
    async with started() as engine:
        address = engine._server.listening_address
        assert address.startswith("http://127.0.0.1:")

        def status_of(path: str, method: str = "GET") -> int:
            request = urllib.request.Request(address + path, b"{}", method=method)
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    return int(response.status)
            except urllib.error.HTTPError as error:
                error.close()
                return error.code

        for path in ("/v1/models", "/slots", "/props", "/metrics", "/lora-adapters"):
            assert await asyncio.to_thread(status_of, path) in {401, 403}, path
        for path in ("/v1/chat/completions", "/completion", "/v1/embeddings", "/slots/0"):
            assert await asyncio.to_thread(status_of, path, "POST") in {401, 403}, path


async def test_start_fails_when_the_file_is_no_model(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes(1_000))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(EngineError, match="could not be loaded") as caught:
        async with started(model=f"file:{path}#sha256={digest}"):
            pass
    assert caught.value.fault is EngineFault.INTERNAL
    assert str(tmp_path) not in str(caught.value)
    assert not [thread for thread in threading.enumerate() if "meshnode" in thread.name]


async def test_start_fails_with_a_hint_when_the_library_is_missing(monkeypatch):
    real_import = builtins.__import__

    def refuse(name, *rest):
        if name == "xllamacpp":
            raise ImportError("no module named xllamacpp")
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(EngineError, match=r"meshnode\[local\]") as caught:
        async with started():
            pass
    assert caught.value.fault is EngineFault.MODEL_NOT_FOUND


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("bad\nvalue"), EngineFault.BAD_REQUEST),
        (RuntimeError("oops"), EngineFault.INTERNAL),
        (None, EngineFault.TRUNCATED),
    ],
)
async def test_failure_of_the_native_call_becomes_an_engine_error(monkeypatch, error, fault):
    async with faked(monkeypatch, FakeServer(error=error)) as engine:
        with pytest.raises(EngineError) as caught:
            await read_chunks(engine, ask("hi"))
    assert caught.value.fault is fault
    assert "\n" not in str(caught.value)


async def test_malformed_piece_of_the_native_call_becomes_an_engine_error(monkeypatch):
    async with faked(monkeypatch, FakeServer("{oops")) as engine:
        with pytest.raises(EngineError) as caught:
            await read_chunks(engine, ask("hi"))
    assert caught.value.fault is EngineFault.MALFORMED


async def test_usage_sent_early_still_ends_the_answer(monkeypatch):
    first = {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": {"total_tokens": 1}}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    async with faked(monkeypatch, FakeServer(json.dumps(first), json.dumps(last))) as engine:
        chunks = await read_chunks(engine, ask("hi"))
    assert chunks[-1]["usage"] == {"total_tokens": 1}


async def test_call_ends_when_the_loop_of_its_reader_is_gone(monkeypatch):
    piece = json.dumps({"choices": [{"index": 0, "delta": {"content": "a"}}]})
    gone = asyncio.new_event_loop()
    gone.close()
    async with faked(monkeypatch, FakeServer(piece)) as engine:
        run = engine._begin("{}")
        run._loop = gone
        assert run.report(piece)
        await asyncio.gather(*engine._runs.values())


async def test_answer_fails_when_closed_with_pieces_still_unread(monkeypatch):
    piece = json.dumps({"choices": [{"index": 0, "delta": {"content": "a"}}]})
    async with faked(monkeypatch, FakeServer(*[piece] * 5)) as engine:
        answer = engine.chat(ask("hi"))
        assert finish_reason_of(await anext(answer)) is None
        await engine.close()
        with pytest.raises(EngineError, match="closed"):
            await drain(answer)


SCRIPT = """
import asyncio, sys
from meshnode.engines.embedded_request import read_prompt_tokens
from meshnode.engines.registry import create_engine

async def main():
    engine = create_engine("embedded", {"context_tokens": 512, "threads": 1})
    await engine.start()
    answer = engine.chat({"messages": [{"role": "user", "content": "Tell me a long story."}]})
    print((await anext(answer))["model"])
    if sys.argv[1] == "close":
        await engine.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("ending", ["close", "leave"])
def test_process_exits_by_itself_in_the_middle_of_an_answer(ending):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, ending],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "smollm2-135m-instruct\n"), done.stderr
    assert done.stderr == ""


async def test_tokens_are_counted_by_the_models_own_tokenizer():
    async with started() as engine:
        count = await engine.count_tokens(ask("Hello there, how are you?"))
        beyond = await engine.count_tokens(ask("word " * 1_000))
        chunks = await read_chunks(engine, ask("Hello there, how are you?", max_tokens=1))
    assert count.method is CountMethod.TOKENIZER
    assert count.tokens == chunks[-1]["usage"]["prompt_tokens"]
    assert beyond.tokens > 1_000, "what does not fit is counted, too"


async def test_tokens_are_not_counted_before_the_start_or_without_a_report():
    with pytest.raises(EngineError, match="started"):
        await EmbeddedEngine().count_tokens(ask("Hello"))
    async with started() as engine:
        server, engine._server = engine._server, SilentServer()
        with pytest.raises(EngineError, match="how long"):
            await engine.count_tokens(ask("Hello"))
        engine._server = server


class SilentServer:
    def handle_chat_completions(self, body, report):
        report("{}")


@pytest.mark.parametrize("piece", ["[]", "oops", "{}", '{"error": {}}'])
def test_piece_that_tells_no_length_tells_none(piece):
    assert read_prompt_tokens(piece) is None


BOUNDED = {
    "english": "The sea was calm that morning, and the ships lay in the harbour. " * 8,
    "code": "def add(left: int, right: int) -> int:\n    return left + right\n\n" * 8,
    "json": json.dumps([{"id": n, "name": f"item {n}", "ok": True} for n in range(20)]),
    "chinese": "这座城市的清晨总是很安静。街道上只有几个行人。" * 8,
    "hexadecimal": hashlib.sha512(b"a").hexdigest() * 3,
    "digits": "31415926535897932384626433832795" * 12,
}


async def test_bound_is_never_below_the_count_of_a_tokenizer():
    async with started(context_tokens=2_048) as engine:
        for name, text in BOUNDED.items():
            request = ask(text)
            exact = (await engine.count_tokens(request)).tokens
            bound = bound_tokens(request["messages"]).tokens
            assert exact <= bound < 4 * exact, name
