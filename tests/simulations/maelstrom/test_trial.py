"""The phases of a test, with nodes that answer at once."""

from __future__ import annotations

import json

import pytest

from simulations.errors import Unreached
from simulations.maelstrom.clients import WrongAnswer
from simulations.maelstrom.plan import Plan
from simulations.maelstrom.protocol import encode_message
from simulations.maelstrom.trial import Phase, Trial


class Echo:
    """Nodes that share one set: what a test that goes well looks like from outside."""

    def __init__(self, plan, tell=lambda line: None):
        self.now_ms = 1_000
        self.trial = Trial(plan, self.now_ms, tell)
        self.values: list[int] = []
        self.asked: list[tuple[str, dict]] = []

    def run(self):
        while not self.trial.is_over:
            while lines := self.trial.take_lines(self.now_ms):
                for name, line in lines:
                    self.read(name, json.loads(line))
            self.now_ms = max(self.now_ms + 1, self.trial.next_wakeup or 0)
            self.trial.tick(self.now_ms)
        return self

    def read(self, name, message):
        self.asked.append((name, message["body"]))
        reply = encode_message(name, message["src"], self.serve(message["body"]))
        self.trial.receive(self.now_ms, name, reply)

    def serve(self, body):
        reply = {"type": f"{body['type']}_ok", "in_reply_to": body["msg_id"]}
        if body["type"] in ("broadcast", "add"):
            self.values.append(body.get("message", body.get("element")))
        if body["type"] == "read":
            reply |= {"messages": self.values, "value": self.values}
        return reply


@pytest.mark.parametrize(
    ("workload", "types"),
    [("broadcast", ["init", "topology", "broadcast", "read"]), ("g-set", ["init", "add", "read"])],
)
def test_trial_goes_through_its_phases(workload, types):
    told: list[str] = []
    echo = Echo(Plan(workload=workload, nodes=3, time_limit_ms=2_000, quiet_ms=500), told.append)
    history = echo.run().trial.clients.history
    assert sorted({body["type"] for _, body in echo.asked}) == sorted(types)
    assert [body for _, body in echo.asked[:3]] == [
        {"type": "init", "msg_id": 1, "node_id": name, "node_ids": ["n1", "n2", "n3"]}
        for name in ("n1", "n2", "n3")
    ]
    assert [operation.node for operation in history if operation.is_final] == ["n1", "n2", "n3"]
    assert all(operation.outcome == "ok" for operation in history)
    assert 10 <= len(history) - 3 <= 40
    assert echo.trial.clients.history[-1].begun_ms - history[-4].begun_ms >= 500
    assert told[0] == "all nodes are up; load"


def test_trial_parts_and_heals():
    told: list[str] = []
    plan = Plan(nodes=3, time_limit_ms=5_000, partitions=True, partition_ms=1_000, quiet_ms=0)
    echo = Echo(plan, told.append).run()
    assert [line.split(":")[0] for line in told if line[0] in "ph"] == ["parted", "healed"] * 2
    assert not echo.trial.network.is_parted


def test_trial_carries_lines_between_nodes_and_counts_those_under_load():
    trial = Trial(Plan(workload="g-set", nodes=1, latency_ms=30, time_limit_ms=100), 1_000)
    trial.receive(1_000, "n1", b'{"src":"n1","dest":"n1","body":{"type":"early"}}')
    trial.receive(
        1_000, "n1", b'{"src":"n1","dest":"c0","body":{"type":"init_ok","in_reply_to":1}}'
    )
    assert trial.phase is Phase.LOAD
    line = b'{"src":"n1","dest":"n1","body":{"type":"hello"}}'
    trial.receive(1_000, "n1", line)
    assert ("n1", line) in trial.take_lines(1_030)
    trial.tick(1_100)
    assert (trial.network.sent, trial.load_lines) == (2, 1)


def test_trial_ends_when_nodes_do_not_come_up():
    trial = Trial(Plan(nodes=2), 1_000)
    trial.receive(
        1_000, "n1", b'{"src":"n1","dest":"c0","body":{"type":"init_ok","in_reply_to":1}}'
    )
    trial.receive(
        1_000, "n2", b'{"src":"n2","dest":"c0","body":{"type":"init_ok","in_reply_to":9}}'
    )
    assert trial.next_wakeup == 31_000
    with pytest.raises(Unreached, match="no answer to init from n2"):
        trial.tick(31_000)


@pytest.mark.parametrize(
    "line",
    [
        b"Traceback (most recent call last):",
        b'{"src":"n2","dest":"n1","body":{"type":"x"}}',
        b'{"src":"n1","dest":"c0","body":{"type":"error","in_reply_to":1}}',
    ],
)
def test_trial_ends_when_a_node_breaks_the_protocol(line):
    with pytest.raises(WrongAnswer):
        Trial(Plan(nodes=2), 1_000).receive(1_000, "n1", line)
