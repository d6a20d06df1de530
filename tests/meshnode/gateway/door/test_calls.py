"""What a client wishes becomes options of a question."""

from __future__ import annotations

import pytest

from market.instruments import PRICE_MAX_URUV
from meshnode.gateway.door.calls import read_chat
from meshnode.gateway.refusals import InvalidRequest
from tests.support.door import QUESTION


def read(**fields):
    return read_chat({"messages": QUESTION, **fields})


def test_nothing_wished_is_a_free_question_to_anybody():
    call = read()
    assert (call.model, call.spend_uruv, call.stream, call.stays_local) == ("auto", 0, False, False)
    assert call.options == {
        "model": "auto",
        "share": None,
        "timeout_ms": 120_000,
        "knowledge": (),
        "context": (),
        "peer": None,
        "max_tokens": None,
        "temperature": None,
        "extra": {},
        "max_price_uruv": None,
        "max_spend_uruv": None,
        "wishes": None,
    }


def test_every_wish_has_its_option():
    call = read(
        model="kimi",
        stream=True,
        temperature=1,
        meshnode={
            "max_ruv": "0.5",
            "max_price": "0.01",
            "prefer": "latency",
            "peer": "ada",
            "share": "digest",
            "knowledge": ["ab"],
            "timeout_ms": 5,
            "wishes": {"sla_bp": 1},
        },
    )
    assert call.stream
    assert call.spend_uruv == 500_000
    assert {name: call.options[name] for name in ("max_price_uruv", "max_spend_uruv")} == {
        "max_price_uruv": 10_000,
        "max_spend_uruv": 500_000,
    }
    assert (call.options["peer"], call.options["share"]) == ("ada", "digest")
    assert (call.options["knowledge"], call.options["timeout_ms"]) == (("ab",), 5)
    assert call.options["wishes"] == {"sla_bp": 1}
    assert call.options["temperature"] == 1


def test_budget_alone_bounds_the_price_too():
    assert read(meshnode={"max_ruv": "0.5"}).options["max_price_uruv"] == 500_000
    assert read(meshnode={"max_ruv": "10000000"}).options["max_price_uruv"] == PRICE_MAX_URUV
    assert read(meshnode={"max_ruv": "0"}).options["max_price_uruv"] is None


def test_longest_answer_goes_as_it_came_unless_it_is_bought():
    free = read(max_completion_tokens=9).options
    assert (free["max_tokens"], free["extra"]) == (None, {"max_completion_tokens": 9})
    assert read(max_completion_tokens=9, meshnode={"max_ruv": "1"}).options["max_tokens"] == 9
    assert read(max_tokens=8, max_completion_tokens=9).options["max_tokens"] == 8


def test_own_node_only_is_a_wish():
    assert read(meshnode={"prefer": "local"}).stays_local


def test_where_a_question_goes_is_wished_for():
    assert "meshnode" not in read(meshnode={"on_break": "error"}).options["extra"]
    for wish in ({"private": True}, {"on_break": "continue"}):
        extra = read(meshnode=wish).options["extra"]
        assert extra["meshnode"] == {"private": False, "on_break": "error", **wish}


@pytest.mark.parametrize(
    "wish",
    [
        {"prefer": "price"},
        {"max_ruv": "1e3"},
        {"max_ruv": "-1"},
        {"timeout_ms": 0},
        {"timeout_ms": 3_600_001},
        {"knowledge": ["a"] * 7},
        {"peer": ""},
        [],
    ],
)
def test_wishes_that_mean_nothing_are_refused(wish):
    with pytest.raises(InvalidRequest) as refused:
        read(meshnode=wish)
    assert refused.value.param == "meshnode"


def test_name_of_a_model_is_bounded():
    for model in ("", "x" * 257):
        with pytest.raises(InvalidRequest):
            read(model=model)
