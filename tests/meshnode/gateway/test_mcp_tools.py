"""The means of a session, and what is read from the books of a home."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from meshnode.engines.usage import Outcome, UsageRecord
from meshnode.gateway.mcp_purse import SessionPurse
from meshnode.gateway.mcp_reports import make_usage_reader, make_usage_report, summarise_mesh
from meshnode.gateway.mcp_tools import TOOLS, Context, call_tool, list_tools, make_schema
from meshnode.gateway.refusals import ForbiddenScope, InvalidRequest, SpendingExceeded
from meshnode.usage_store import UsageStore
from meshnode.views import EngineView, ModelView
from tests.support.fake_node import FakeNode
from tests.support.views import make_peer, make_status


def test_session_without_means_asks_for_nothing_but_free_answers():
    purse = SessionPurse()
    assert "market_place_bid" not in [tool.name for tool in list_tools(purse)]
    with purse.hold(0):
        pass
    with pytest.raises(ForbiddenScope, match="--max-ruv"), purse.hold(1):
        pass


def test_session_spends_what_it_has_and_no_more():
    purse = SessionPurse(1_000_000)
    assert len(list_tools(purse)) == len(TOOLS)
    with purse.hold(600_000) as hold:
        with pytest.raises(SpendingExceeded, match=r"has 0\.4 ruv left"), purse.hold(400_001):
            pass
        hold.settle(100_000)
    with purse.hold(900_000):
        pass  # what nobody settled counts as spent
    with pytest.raises(SpendingExceeded), purse.hold(1):
        pass


def test_question_that_fails_before_anything_was_paid_costs_the_session_what_was_held():
    purse = SessionPurse(10)
    with pytest.raises(ZeroDivisionError), purse.hold(10):
        raise ZeroDivisionError
    with pytest.raises(SpendingExceeded), purse.hold(1):
        pass


def make_record(**changes):
    given = dict.fromkeys(UsageRecord.__dataclass_fields__, 0)
    texts = {"engine": "moonshot", "model": "kimi", "request_id": "r", "fault": ""}
    return UsageRecord(**{**given, **texts, "outcome": next(iter(Outcome)), **changes})


async def test_usage_comes_from_the_books_of_the_home(tmp_path):
    read = make_usage_reader(tmp_path)
    assert await make_usage_reader(None)(0) == []
    assert await read(0) == []
    assert not list(tmp_path.iterdir())  # looking makes nothing
    day_ms = 86_400_000
    with UsageStore(tmp_path) as store:
        store.record(
            make_record(time_ms=10 * day_ms, prompt_tokens=3, completion_tokens=5, cost_udollar=40),
            make_record(time_ms=11 * day_ms, prompt_tokens=4, completion_tokens=6, cost_udollar=60),
            make_record(time_ms=11 * day_ms, model="other", cost_udollar=None),
        )
    report = make_usage_report(2, make_status(), [], await read(10))
    kimi, other = report.providers
    assert (kimi.requests, kimi.prompt_tokens, kimi.completion_tokens) == (2, 7, 11)
    assert (kimi.cost_usd, other.unpriced, report.cost_usd) == ("0.0001", 1, "0.0001")
    assert len(await read(11)) == 2


def test_models_of_the_mesh_are_counted_once_each():
    model = ModelView(id="echo", engine="echo", context_tokens=9, tools=True)
    engine = EngineView(name="echo", shareable=True, slots=1, running=0, queued=0, models=(model,))
    peers = [make_peer(models=(model,)), make_peer(models=(model,), ready=False)]
    found = summarise_mesh(make_status(engine=engine), peers)
    (offer,) = found.models
    assert (offer.model, offer.served_by, offer.context_tokens, offer.tools) == (
        "echo",
        2,
        9,
        True,
    )


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_schemas_are_valid_and_refuse_what_the_tool_refuses(tool):
    for kind in (tool.takes, tool.gives):
        Draft202012Validator.check_schema(make_schema(kind))
    validator = Draft202012Validator(make_schema(tool.takes))
    assert not validator.is_valid({"unheard_of": 1})
    assert tool.description.endswith(".")
    assert tool.reads_only == (tool.scope == "read")


@pytest.mark.parametrize("arguments", [[], "x", {"prompt": ""}, {"prompt": "a", "timeout_s": 601}])
async def test_arguments_that_cannot_be_used_are_refused(arguments):
    (ask,) = (tool for tool in TOOLS if tool.name == "mesh_ask")
    node: Any = FakeNode()
    context = Context(node=node, purse=SessionPurse(), read_usage=make_usage_reader(None))
    with pytest.raises(InvalidRequest, match="the arguments of mesh_ask cannot be used"):
        await call_tool(ask, context, arguments)
