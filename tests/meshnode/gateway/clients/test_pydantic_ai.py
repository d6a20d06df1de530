"""pydantic-ai, unmodified, against the door."""

from __future__ import annotations

import pytest
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.support.door import ScriptedEngine, call_tool, open_door, say


@pytest.fixture
def engine():
    return ScriptedEngine(lambda _: say("Not ", "much."))


@pytest.fixture
async def door(engine):
    async with open_door(engine) as opened:
        yield opened


@pytest.fixture
async def provider(door):
    made = OpenAIProvider(base_url=door.base_url, api_key=door.token)
    yield made
    await made.client.close()


async def test_agent_answers_whole_and_streamed(provider):
    agent = Agent(OpenAIChatModel("auto", provider=provider))
    answer = await agent.run("What is up?")
    assert answer.output == "Not much."
    async with agent.run_stream("What is up?") as stream:
        assert await stream.get_output() == "Not much."


@pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])
async def test_agent_calls_a_tool_and_goes_on(engine, provider, kind):
    def script(request):
        if request["messages"][-1]["role"] == "tool":
            return say(request["messages"][-1]["content"])
        return call_tool("look", '{"at": "sky"}')

    engine._script = script
    agent = Agent(kind("auto", provider=provider))

    @agent.tool_plain
    def look(at: str) -> str:
        return f"{at} is blue"

    assert (await agent.run("What is up?")).output == "sky is blue"
