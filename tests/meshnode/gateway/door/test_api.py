"""The paths of `/v1` over a real socket, in front of a real node."""

from __future__ import annotations

import asyncio
import json

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import StorageError
from tests.support.door import (
    MODEL,
    QUESTION,
    USAGE,
    EmbeddingEngine,
    Hold,
    ScriptedEngine,
    call_tool,
    chunk,
    open_door,
    read_events,
    say,
)

CHAT = "/v1/chat/completions"
ASKED = {"model": MODEL, "messages": QUESTION}


@pytest.fixture
def engine():
    return ScriptedEngine(lambda _: say("Not ", "much."))


@pytest.fixture
async def door(engine):
    async with open_door(engine) as opened:
        yield opened


async def test_whole_answer_has_the_form_and_headers_that_clients_expect(door):
    status, body, headers = await door.chat()
    assert status == 200
    assert body["object"] == "chat.completion"
    assert (body["id"], body["created"], body["model"]) == ("chatcmpl-1", 5, MODEL)
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Not much."},
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == USAGE
    assert body["meshnode"]["provider"] == "node-1"
    assert body["meshnode"]["cost_ruv"] == "0"
    assert headers["x-meshnode-provider"] == "node-1"
    assert headers["x-meshnode-route"] == "local"
    assert headers["x-meshnode-cost-ruv"] == "0"
    assert headers["x-request-id"].startswith("req_")
    assert "Access-Control-Allow-Origin" not in headers


async def test_chunks_come_in_the_one_order_that_every_client_takes(door):
    options = {**ASKED, "stream_options": {"include_usage": True}}
    *events, usage, done = await door.read_events(CHAT, options)
    assert [each["choices"][0]["delta"] for each in events] == [
        {"role": "assistant", "content": ""},
        {"content": "Not "},
        {"content": "much."},
        {},
    ]
    reasons = [each["choices"][0]["finish_reason"] for each in events]
    assert reasons == [None, None, None, "stop"]
    assert not any("usage" in each for each in events)
    assert (usage["choices"], usage["usage"]) == ([], USAGE)
    assert usage["meshnode"]["local"] is True
    assert done == "[DONE]"
    assert {each["id"] for each in (*events, usage)} == {"chatcmpl-1"}


async def test_usage_is_not_streamed_unless_asked_for(door):
    events = await door.read_events(CHAT, ASKED)
    assert len(events) == 5
    assert events[-1] == "[DONE]"


async def test_fields_that_are_not_known_reach_the_engine_and_its_own_come_back(engine, door):
    engine._script = lambda _: [
        chunk({"content": "a", "mood": "good"}, odd=1),
        chunk({}, "stop", odd=2),
    ]
    asked = {"tools": [{"type": "x"}], "seed": 7, "max_completion_tokens": 9, "odd": {"a": [1]}}
    status, body, _ = await door.chat(**asked)
    assert (status, body["odd"], body["choices"][0]["message"]["mood"]) == (200, 2, "good")
    sent = engine.requests[0]
    assert {name: sent[name] for name in asked} == asked
    assert sent["messages"] == QUESTION
    assert "meshnode" not in sent
    events = await door.read_events(CHAT, ASKED)
    assert events[0]["odd"] == 1
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "a", "mood": "good"}


async def test_tool_calls_pass_unchanged(engine, door):
    engine._script = lambda _: call_tool("look", '{"at": "é"}')
    _, body, _ = await door.chat()
    message = body["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "look", "arguments": '{"at": "é"}'},
        }
    ]
    assert body["choices"][0]["finish_reason"] == "tool_calls"
    events = await door.read_events(CHAT, ASKED)
    fragments = [each["choices"][0]["delta"].get("tool_calls") for each in events[1:4]]
    assert "".join(each[0]["function"]["arguments"] for each in fragments) == '{"at": "é"}'


async def test_provider_lost_in_the_middle_is_an_error_event_and_no_done(engine, door):
    lost = EngineError(EngineFault.TRUNCATED, "the engine went away")
    engine._script = lambda _: [chunk({"content": "a"}), lost]
    events = await door.read_events(CHAT, ASKED)
    assert "[DONE]" not in events
    assert "went away" in events[-1]["error"]["message"]
    assert events[-1]["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (EngineFault.BAD_REQUEST, (400, "bad_request")),
        (EngineFault.CONTEXT_OVERFLOW, (400, "context_length_exceeded")),
        (EngineFault.FORBIDDEN, (403, "forbidden")),
        (EngineFault.UNAUTHORIZED, (502, "unauthorized")),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_failures_before_the_first_word_have_their_status(
    engine, door, fault, expected, stream
):
    engine._script = lambda _: [EngineError(fault, "no")]
    found, body, headers = await door.chat(stream=stream)
    assert (found, body["error"]["code"]) == expected
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert headers["x-request-id"].startswith("req_")
    assert (headers.get("x-should-retry") == "false") == (fault is EngineFault.UNAUTHORIZED)


async def test_rate_limit_of_an_engine_says_when_to_come_back(engine, door):
    slow = EngineError(EngineFault.RATE_LIMITED, "slow down", retry_after_ms=1_500)
    engine._script = lambda _: [slow]
    status, body, headers = await door.chat()
    assert (status, headers["Retry-After"]) == (429, "2")
    assert body["error"]["type"] == "rate_limit_error"


async def test_unknown_model_is_404_and_nobody_for_auto_is_503(door):
    status, body, _ = await door.chat(model="kimi-k9")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert body["error"]["param"] == "model"
    async with open_door(None) as empty:
        status, body, headers = await empty.chat()
        assert (status, body["error"]["code"]) == (503, "no_peer_serves")
        assert headers["Retry-After"] == "1"
        assert (await empty.chat(model="x"))[0] == 404
        assert (await empty.chat(meshnode={"peer": "x"}))[0] == 503


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ("{", None),
        ("[]", None),
        (b"\xff", None),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user"}] * 10_001}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": QUESTION, "model": 3}, "model"),
        ({"messages": QUESTION, "stream": "yes"}, "stream"),
        ({"messages": QUESTION, "stream_options": []}, "stream_options"),
        ({"messages": QUESTION, "max_tokens": 0}, "max_tokens"),
        ({"messages": QUESTION, "max_completion_tokens": True}, "max_completion_tokens"),
        ({"messages": QUESTION, "temperature": "hot"}, "temperature"),
        ({"messages": QUESTION, "temperature": -1}, "temperature"),
        ({"messages": QUESTION, "meshnode": {"max_ruv": 1}}, "meshnode"),
        ({"messages": QUESTION, "meshnode": {"max_ruv": "much"}}, "meshnode"),
        ({"messages": QUESTION, "meshnode": {"max_price": "1"}}, "meshnode"),
        ({"messages": QUESTION, "meshnode": {"speed": 1}}, "meshnode"),
    ],
)
async def test_unusable_requests_name_the_field(door, body, param):
    status, data, _ = await door("POST", CHAT, body)
    assert (status, data["error"]["type"]) == (400, "invalid_request_error")
    assert data["error"]["param"] == param


async def test_unknown_paths_methods_and_large_bodies_are_json_of_the_same_form(door):
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("GET", CHAT, 405),
        ("POST", "/v1/models", 405),
    ):
        found, body, _ = await door(method, path)
        assert found == status
        assert body["error"]["message"]
    text = "x" * 3_000_000
    messages = [{"role": "user", "content": text}]
    found, body, _ = await door("POST", CHAT, {"messages": messages})
    assert (found, body["error"]["message"].startswith("the body is too large")) == (413, True)


async def test_wrong_key_is_401_of_the_same_form(door):
    headers = {"Authorization": "Bearer sk-wrong"}
    status, body, found = await door("GET", "/v1/models", headers=headers)
    assert (status, body["error"]["type"]) == (401, "authentication_error")
    assert found["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "abc-1"}, "abc-1"),
        ({"x-request-id": "a b"}, None),
        ({"traceparent": f"00-{'4b' * 16}-{'7a' * 8}-01"}, "4b" * 16),
        ({"traceparent": f"00-{'00' * 16}-{'7a' * 8}-01"}, None),
        ({"traceparent": "00-zz"}, None),
    ],
)
async def test_request_id_is_the_clients_or_its_traces(door, headers, expected):
    found = (await door("GET", "/v1/models", headers=headers))[2]["x-request-id"]
    assert found == expected if expected else found.startswith("req_")


async def test_models_tell_what_there_is(door):
    status, body, _ = await door("GET", "/v1/models")
    assert (status, body["object"]) == (200, "list")
    expected = {
        "id": MODEL,
        "object": "model",
        "created": 0,
        "owned_by": "scripted",
        "context_length": 4_096,
        "meshnode": {
            "providers": ["node-1"],
            "engines": ["scripted"],
            "local": True,
            "tools": True,
            "price": None,
        },
    }
    assert body["data"] == [expected]
    assert (await door("GET", f"/v1/models/{MODEL}"))[1] == expected
    status, body, _ = await door("GET", "/v1/models/some%2Fmodel")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert "some/model" in body["error"]["message"]


async def test_embeddings_are_the_engines_own_or_an_honest_error(engine, door):
    status, body, _ = await door("POST", "/v1/embeddings", {"model": "e", "input": "hi"})
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert (await door("POST", "/v1/embeddings", {"model": "e"}))[0] == 400
    async with open_door(EmbeddingEngine(lambda _: [])) as able:
        status, body, _ = await able("POST", "/v1/embeddings", {"model": "e", "input": "hi"})
        assert (status, body["data"][0]["embedding"]) == (200, [0.5, -1.0])
    async with open_door(None) as empty:
        status, body, _ = await empty("POST", "/v1/embeddings", {"model": "e", "input": "hi"})
        assert (status, "no engine" in body["error"]["message"]) == (404, True)


async def test_wishes_reach_the_node(engine, door):
    status, body, headers = await door.chat(
        meshnode={"prefer": "local", "share": "digest", "record": True}
    )
    assert (status, headers["x-meshnode-route"]) == (200, "local")
    vertex = await door.node.vertex(body["meshnode"]["vertex"])
    assert vertex.body["answer"] == ""
    note = await door.node.publish("The key is under the mat.")
    await door.chat(meshnode={"knowledge": [note.id[:12]]})
    assert "under the mat" in engine.requests[-1]["messages"][0]["content"]


async def test_paid_question_without_an_offer_is_402_and_not_tried_again(door):
    status, body, _ = await door.chat(meshnode={"max_ruv": "0.5"}, max_completion_tokens=5)
    assert (status, body["error"]["type"]) == (402, "insufficient_quota")
    assert body["error"]["code"] == "no_offer"
    assert (await door.chat(meshnode={"max_ruv": "0"}))[0] == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_client_that_goes_away_frees_the_slot_within_a_second(engine, door, stream):
    engine._script = lambda _: [chunk({"content": "a"}), Hold()]
    body = {**ASKED, "stream": stream}
    if stream:
        async with door.open("POST", CHAT, body) as response:
            await response.content.readuntil(b"\n\n")
            response.close()
    else:
        asking = asyncio.create_task(door("POST", CHAT, body))
        await engine.asked.wait()
        asking.cancel()
        await asyncio.wait([asking])
    async with asyncio.timeout(5):
        await engine.stopped.wait()
    await door.wait_idle()
    assert engine.running == 0


async def test_two_hundred_streams_at_once_end_well(engine, door):
    answers = await asyncio.gather(*(door.read_events(CHAT, ASKED) for _ in range(200)))
    assert all(events[-1] == "[DONE]" for events in answers)
    assert engine.running == 0


async def test_completion_is_text(engine, door):
    body = {"model": "auto", "prompt": "Once", "echo": True, "logprobs": None}
    status, answer, _ = await door("POST", "/v1/completions", body)
    assert (status, answer["object"]) == (200, "text_completion")
    assert answer["choices"] == [
        {"index": 0, "text": "OnceNot much.", "logprobs": None, "finish_reason": "stop"}
    ]
    assert answer["usage"] == USAGE
    assert engine.requests[0]["messages"] == [{"role": "user", "content": "Once"}]
    assert not {"prompt", "echo", "logprobs"} & set(engine.requests[0])
    *events, done = await door.read_events("/v1/completions", body)
    assert "".join(each["choices"][0]["text"] for each in events) == "OnceNot much."
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert {each["object"] for each in events} == {"text_completion"}
    assert done == "[DONE]"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": ["a"], "suffix": "b"}, "suffix"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
    ],
)
async def test_completions_that_cannot_be_had_are_refused(door, body, param):
    status, data, _ = await door("POST", "/v1/completions", body)
    assert (status, data["error"]["param"]) == (400, param)


async def test_completion_takes_a_list_of_one_prompt(engine, door):
    assert (await door("POST", "/v1/completions", {"prompt": ["a"]}))[0] == 200
    assert engine.requests[0]["messages"][0]["content"] == "a"


async def test_response_can_be_gone_on_from_read_and_forgotten(engine, door):
    status, first, _ = await door("POST", "/v1/responses", {"input": "Hi", "model": "auto"})
    assert (status, first["object"], first["status"]) == (200, "response", "completed")
    assert first["output"][0]["content"][0]["text"] == "Not much."
    assert first["usage"]["input_tokens_details"]["cached_tokens"] == 1
    body = {"input": "More", "previous_response_id": first["id"], "instructions": "Be brief."}
    _, second, _ = await door("POST", "/v1/responses", body)
    assert second["previous_response_id"] == first["id"]
    assert engine.requests[1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Not much."},
        {"role": "user", "content": "More"},
    ]
    one = f"/v1/responses/{first['id']}"
    assert (await door("GET", one))[1] == first
    items = (await door("GET", f"{one}/input_items"))[1]["data"]
    assert [item["content"] for item in items] == ["Hi"]
    assert (await door("DELETE", one))[1]["deleted"] is True
    for method in ("GET", "DELETE"):
        status, body, _ = await door(method, one)
        assert (status, body["error"]["code"]) == (404, "response_not_found")


async def test_response_that_is_not_to_be_stored_is_not(door):
    _, first, _ = await door("POST", "/v1/responses", {"input": "Hi", "store": False})
    assert (await door("GET", f"/v1/responses/{first['id']}"))[0] == 404
    assert (await door("POST", "/v1/responses", {"input": "a", "store": "no"}))[0] == 400
    body = {"input": "a", "previous_response_id": 3}
    assert (await door("POST", "/v1/responses", body))[0] == 400


async def test_streamed_response_fails_with_what_had_come(engine, door):
    lost = EngineError(EngineFault.TRUNCATED, "the engine went away")
    engine._script = lambda _: [chunk({"content": "a"}), lost]
    events = await door.read_events("/v1/responses", {"input": "Hi"})
    assert events[-1]["type"] == "response.failed"
    assert "went away" in events[-1]["response"]["error"]["message"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "a"


async def test_retried_question_is_asked_once(engine, door):
    headers = {"Idempotency-Key": "order-1"}
    body = {"messages": QUESTION}
    first, second = await asyncio.gather(
        door("POST", CHAT, body, headers=headers), door("POST", CHAT, body, headers=headers)
    )
    third = await door("POST", CHAT, body, headers=headers)
    assert first[1] == second[1] == third[1]
    assert first[2]["x-meshnode-provider"] == third[2]["x-meshnode-provider"]
    assert third[2]["idempotent-replayed"] == "true"
    assert len(engine.requests) == 1
    status, data, _ = await door("POST", CHAT, {**body, "seed": 1}, headers=headers)
    assert (status, data["error"]["code"]) == (422, "idempotency_key_reused")
    headers = {"Idempotency-Key": "x" * 256}
    assert (await door("POST", CHAT, body, headers=headers))[0] == 400


async def test_retried_stream_comes_again_from_its_beginning(engine, door):
    gate = asyncio.Event()
    headers = {"Idempotency-Key": "order-2"}

    async def chat(request):
        engine.requests.append(request)
        for step in say("Not ", "much.")[1:]:
            yield step
            await gate.wait()

    engine.chat = chat
    body = {**ASKED, "stream": True}
    async with door.open("POST", CHAT, body, headers=headers) as response:
        began = await response.content.readuntil(b"\n\n")
        response.close()
    retried = asyncio.create_task(door.read_events(CHAT, ASKED, headers=headers))
    gate.set()
    events = await retried
    assert events[0] == read_events(began.decode())[0]
    assert events[-1] == "[DONE]"
    assert len(engine.requests) == 1


async def test_failed_question_may_be_retried_with_its_key(engine, door):
    headers = {"Idempotency-Key": "order-3"}
    engine._script = lambda _: [EngineError(EngineFault.INTERNAL, "broken")]
    assert (await door("POST", CHAT, ASKED, headers=headers))[0] == 502
    lost = EngineError(EngineFault.TRUNCATED, "the engine went away")
    engine._script = lambda _: [chunk({"content": "a"}), lost]
    events = await door.read_events(CHAT, ASKED, headers=headers)
    assert "error" in events[-1]
    engine._script = lambda _: say("ok")
    events = await door.read_events(CHAT, ASKED, headers=headers)
    assert events[-1] == "[DONE]"
    assert len(engine.requests) == 3


async def test_bodies_of_any_depth_are_answered_with_json(door):
    deep = "[" * 100_000 + "]" * 100_000
    status, data, _ = await door("POST", CHAT, json.dumps(ASKED)[:-1] + f', "odd": {deep}}}')
    assert (status, data["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("stream", [False, True])
async def test_answer_does_not_wait_for_its_record_unless_told_to(door, stream, monkeypatch):
    gate, desk = asyncio.Event(), door.node._desk
    publish = desk._publish

    async def publish_late(*parts):
        await gate.wait()
        return await publish(*parts)

    monkeypatch.setattr(desk, "_publish", publish_late)
    body = {**ASKED, "stream": stream, "stream_options": {"include_usage": True}}
    async with door.open("POST", CHAT, body) as response:
        text = await response.text()
    assert "vertex" not in text
    assert "node-1" in text
    waiting = asyncio.create_task(door.chat(**body, meshnode={"record": True}, n=1))
    async with door.open("POST", CHAT, {**body, "stream": False, "n": 1}) as response:
        assert response.status == 200
    assert not waiting.done()
    gate.set()
    if not stream:
        status, answer, _ = await waiting
        assert (status, answer["meshnode"]["verified"]) == (200, True)
    else:
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_record_that_fails_behind_its_answer_is_nobodys_error(door, monkeypatch, caplog):
    async def fail(*_):
        raise StorageError("the disk is full")

    monkeypatch.setattr(door.node._desk, "_publish", fail)
    headers = {"Idempotency-Key": "a"}
    for options in ({}, {"headers": headers}, {"headers": headers}):
        assert (await door("POST", CHAT, ASKED, **options))[0] == 200
        events = await door.read_events("/v1/completions", {"prompt": "a"}, **options)
        assert events[-1] == "[DONE]"
    status, body, _ = await door.chat(meshnode={"record": True})
    assert (status, body["error"]["code"]) == (502, "answer_interrupted")
    assert "the disk is full" in body["error"]["message"]
