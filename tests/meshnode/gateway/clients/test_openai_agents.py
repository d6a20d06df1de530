"""openai-agents, unmodified, against the door: it speaks `/v1/responses` unless told otherwise."""

from __future__ import annotations

import os

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"  # before its import: it would call home

import agents
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner
from openai import AsyncOpenAI

from tests.support.door import ScriptedEngine, call_tool, open_door, say

agents.set_tracing_disabled(disabled=True)


@pytest.fixture
def engine():
    return ScriptedEngine(lambda _: say("Not ", "much."))


@pytest.fixture
async def client(engine):
    async with (
        open_door(engine) as door,
        AsyncOpenAI(base_url=door.base_url, api_key=door.token) as made,
    ):
        yield made


@agents.function_tool
def look(at: str) -> str:
    """Look at something."""
    return f"{at} is blue"


def use_tool(request):
    if request["messages"][-1]["role"] == "tool":
        return say(request["messages"][-1]["content"])
    return call_tool("look", '{"at": "sky"}')


@pytest.mark.parametrize("kind", [OpenAIResponsesModel, OpenAIChatCompletionsModel])
async def test_agent_calls_a_tool_and_goes_on(engine, client, kind):
    engine._script = use_tool
    model = kind(model="auto", openai_client=client)
    agent = Agent(name="a", instructions="Look first.", model=model, tools=[look])
    done = await Runner.run(agent, "What is up?")
    assert done.final_output == "sky is blue"
    assert engine.requests[0]["messages"][0] == {"role": "system", "content": "Look first."}


@pytest.mark.parametrize("kind", [OpenAIResponsesModel, OpenAIChatCompletionsModel])
async def test_agent_streams(engine, client, kind):
    engine._script = use_tool
    model = kind(model="auto", openai_client=client)
    agent = Agent(
        name="a", model=model, tools=[look], model_settings=ModelSettings(include_usage=True)
    )
    run = Runner.run_streamed(agent, "What is up?")
    kinds = [event.type async for event in run.stream_events()]
    assert run.final_output == "sky is blue"
    assert {"raw_response_event", "run_item_stream_event"} <= set(kinds)
