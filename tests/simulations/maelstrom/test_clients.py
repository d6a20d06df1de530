"""Clients: what they ask, and what becomes of the answers."""

from __future__ import annotations

import json

import pytest

from simulations.maelstrom.clients import Clients, WrongAnswer
from simulations.maelstrom.plan import Plan
from simulations.maelstrom.protocol import decode_message, encode_message


@pytest.fixture(params=["broadcast", "g-set"])
def clients(request):
    return Clients(Plan(workload=request.param, nodes=2))


def ask(clients, what="add"):
    getattr(clients, what)(100, "c1")
    ((node, line),) = clients.take_lines()
    assert node == "n1"
    return json.loads(line)["body"]


def answer(clients, now_ms, **body):
    clients.receive(now_ms, *decode_message(encode_message("n1", "c1", body)))


def test_value_is_acknowledged(clients):
    body = ask(clients)
    assert clients.free == ["c2"] and not clients.is_idle
    assert clients.next_deadline == 5_100
    assert body.get("message", body.get("element")) == 0
    answer(clients, 120, type=f"{body['type']}_ok", in_reply_to=body["msg_id"])
    assert clients.is_idle and clients.next_deadline is None
    (operation,) = clients.history
    assert (operation.outcome, operation.ended_ms) == ("ok", 120)


def test_values_are_read(clients):
    body = ask(clients, "read")
    field = "messages" if clients._plan.workload == "broadcast" else "value"
    answer(clients, 120, type="read_ok", in_reply_to=body["msg_id"], **{field: [3, 1]})
    assert clients.history[0].values == (3, 1)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (11, "failed"),
        (14, "failed"),
        (0, "unknown"),
        (13, "unknown"),
        (1_000, "unknown"),
        ("x", "unknown"),
    ],
)
def test_error_is_definite_or_not(clients, code, outcome):
    body = ask(clients)
    answer(clients, 120, type="error", in_reply_to=body["msg_id"], code=code)
    assert clients.history[0].outcome == outcome


def test_answer_is_passed_over_when_it_comes_too_late(clients):
    body = ask(clients)
    clients.tick(5_099)
    assert not clients.is_idle
    clients.tick(5_100)
    assert clients.is_idle and clients.history[0].outcome == "unknown"
    answer(clients, 6_000, type=f"{body['type']}_ok", in_reply_to=body["msg_id"])
    ask(clients)
    answer(clients, 6_000, type=f"{body['type']}_ok", in_reply_to=body["msg_id"])
    assert not clients.is_idle


def test_answer_to_a_stranger_is_passed_over(clients):
    clients.receive(0, *decode_message(b'{"src":"n1","dest":"c9","body":{"type":"read_ok"}}'))
    assert clients.history == []


@pytest.mark.parametrize(
    "body",
    [
        {"type": "write_ok"},
        {"type": "read_ok"},
        {"type": "read_ok", "messages": ["a"], "value": ["a"]},
        {"type": "read_ok", "messages": 5, "value": 5},
    ],
)
def test_wrong_answer_is_a_finding(clients, body):
    asked = ask(clients, "read")
    with pytest.raises(WrongAnswer):
        answer(clients, 120, in_reply_to=asked["msg_id"], **body)


def test_everybody_reads_in_the_end(clients):
    clients.read_all(100)
    assert [node for node, _ in clients.take_lines()] == ["n1", "n2"]
    assert all(operation.is_final for operation in clients.history)
