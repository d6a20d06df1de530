"""OpenAI's own SDK, unmodified, against the door: both its forms, streams, tools and errors."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from meshnode.engines.base import EngineError, EngineFault
from tests.support.door import MODEL, QUESTION, ScriptedEngine, call_tool, chunk, open_door, say

TOOLS = [
    {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
    }
]


@pytest.fixture
def engine():
    return ScriptedEngine(lambda _: say("Not ", "much."))


@pytest.fixture
async def door(engine):
    async with open_door(engine) as opened:
        yield opened


@pytest.fixture
async def client(door):
    async with AsyncOpenAI(base_url=door.base_url, api_key=door.token) as made:
        yield made


async def test_asynchronous_client_gets_answers_whole_and_streamed(client):
    answer = await client.chat.completions.create(model="auto", messages=QUESTION)
    assert answer.choices[0].message.content == "Not much."
    assert (answer.model, answer.usage.total_tokens) == (MODEL, 5)
    assert answer.model_extra["meshnode"]["provider"] == "node-1"
    stream = await client.chat.completions.create(
        model=MODEL, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = [each async for each in stream]
    assert "".join(each.choices[0].delta.content or "" for each in chunks[:-1]) == "Not much."
    assert chunks[-1].usage.total_tokens == 5
    assert chunks[-1].model_extra["meshnode"]["local"] is True


async def test_synchronous_client_gets_the_same(door):
    def ask():
        with OpenAI(base_url=door.base_url, api_key=door.token) as client:
            whole = client.chat.completions.create(model="auto", messages=QUESTION)
            stream = client.chat.completions.create(model="auto", messages=QUESTION, stream=True)
            text = "".join(each.choices[0].delta.content or "" for each in stream)
            return whole.choices[0].message.content, text, client.models.retrieve(MODEL).id

    assert await asyncio.to_thread(ask) == ("Not much.", "Not much.", MODEL)


async def test_tools_are_called_and_answered(engine, client):
    def script(request):
        if request["messages"][-1]["role"] == "tool":
            return say("Seen.")
        return call_tool("look", '{"at": "sky"}')

    engine._script = script
    first = await client.chat.completions.create(model="auto", messages=QUESTION, tools=TOOLS)
    message = first.choices[0].message
    assert message.tool_calls[0].function.arguments == '{"at": "sky"}'
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "blue"}
    history = [*QUESTION, message.model_dump(exclude_none=True), result]
    second = await client.chat.completions.create(model="auto", messages=history, tools=TOOLS)
    assert second.choices[0].message.content == "Seen."
    assert engine.requests[0]["tools"] == TOOLS
    async with client.chat.completions.stream(
        model="auto", messages=QUESTION, tools=TOOLS
    ) as stream:
        whole = await stream.get_final_completion()
    assert whole.choices[0].message.tool_calls[0].function.arguments == '{"at": "sky"}'


@pytest.mark.parametrize(
    ("fault", "kind", "calls"),
    [
        (EngineFault.BAD_REQUEST, openai.BadRequestError, 1),
        (EngineFault.UNAUTHORIZED, openai.InternalServerError, 1),
        (EngineFault.RATE_LIMITED, openai.RateLimitError, 2),
    ],
)
async def test_errors_have_their_classes_and_are_retried_where_it_helps(door, fault, kind, calls):
    seen = 0

    async def count(response):
        nonlocal seen
        seen += 1

    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [count]})
    engine_error = EngineError(fault, "no", retry_after_ms=1)
    door.node._desk.engine._script = lambda _: [engine_error]
    async with AsyncOpenAI(
        base_url=door.base_url, api_key=door.token, http_client=http, max_retries=1
    ) as client:
        with pytest.raises(kind):
            await client.chat.completions.create(model="auto", messages=QUESTION)
    assert seen == calls


async def test_what_costs_too_much_is_sent_once(client):
    with pytest.raises(openai.APIStatusError) as refused:
        await client.chat.completions.create(
            model="auto", messages=QUESTION, extra_body={"meshnode": {"max_ruv": "0.5"}}
        )
    assert refused.value.status_code == 402
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert missing.value.code == "model_not_found"


async def test_wrong_key_is_an_authentication_error(door):
    async with AsyncOpenAI(base_url=door.base_url, api_key="sk-wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()


async def test_provider_lost_in_the_middle_raises(engine, client):
    lost = EngineError(EngineFault.TRUNCATED, "the engine went away")
    engine._script = lambda _: [chunk({"content": "a"}), lost]
    stream = await client.chat.completions.create(model="auto", messages=QUESTION, stream=True)
    with pytest.raises(openai.APIError, match="went away"):
        async for _ in stream:
            pass


async def test_completions_and_responses_work_too(engine, client):
    text = await client.completions.create(model="auto", prompt="Once")
    assert text.choices[0].text == "Not much."
    first = await client.responses.create(model="auto", input="Hi", instructions="Be brief.")
    assert first.output_text == "Not much."
    second = await client.responses.create(
        model="auto", input="More", previous_response_id=first.id
    )
    assert second.usage.total_tokens == 5
    assert (await client.responses.retrieve(first.id)).id == first.id
    async with client.responses.stream(model="auto", input="Hi") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == "Not much."
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    engine._script = lambda _: call_tool("look", "{}")
    called = await client.responses.create(
        model="auto", input="Hi", tools=[{"type": "function", "name": "look", "parameters": {}}]
    )
    assert called.output[0].name == "look"


async def test_node_gives_a_ready_client(door):
    async with door.node.openai() as client, door.node.openai() as other:
        answer = await client.chat.completions.create(model="auto", messages=QUESTION)
        assert answer.choices[0].message.content == "Not much."
        assert client.base_url == other.base_url
