"""langchain-openai, unmodified, against the door."""

from __future__ import annotations

import asyncio

import pytest
from langchain_openai import ChatOpenAI

from tests.support.door import ScriptedEngine, call_tool, open_door, say


@pytest.fixture
def engine():
    return ScriptedEngine(lambda _: say("Not ", "much."))


@pytest.fixture
async def door(engine):
    async with open_door(engine) as opened:
        yield opened


@pytest.fixture
def model(door):
    return ChatOpenAI(model="auto", base_url=door.base_url, api_key=door.token, stream_usage=True)


async def test_chat_model_answers_whole_and_streamed(model):
    answer = await model.ainvoke("What is up?")
    assert answer.content == "Not much."
    assert answer.usage_metadata["total_tokens"] == 5
    parts = [part async for part in model.astream("What is up?")]
    assert "".join(part.text for part in parts) == "Not much."
    assert (await asyncio.to_thread(model.invoke, "What is up?")).content == "Not much."


async def test_chat_model_calls_tools(engine, model):
    engine._script = lambda _: call_tool("look", '{"at": "sky"}')

    def look(at: str) -> str:
        """Look at something."""
        return at

    answer = await model.bind_tools([look]).ainvoke("What is up?")
    assert answer.tool_calls[0]["name"] == "look"
    assert answer.tool_calls[0]["args"] == {"at": "sky"}


async def test_chat_model_uses_responses_where_told_to(door):
    model = ChatOpenAI(
        model="auto", base_url=door.base_url, api_key=door.token, use_responses_api=True
    )
    assert (await model.ainvoke("What is up?")).text == "Not much."
