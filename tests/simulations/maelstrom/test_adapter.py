"""The adapter: requests answered, lines ignored, and nothing that breaks it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dag.types import BODY_BYTES_MAX
from meshnode.core.events import PublishFailed
from simulations.maelstrom.plan import Plan
from simulations.maelstrom.virtual import make_adapter

NOW_MS = 1_700_000_000_000


class Talk:
    """A client that speaks to one adapter."""

    def __init__(self, name="n1", names=("n1",)):
        self.adapter = make_adapter(Plan(), name)
        self.names = names
        self.now_ms = NOW_MS

    def tell(self, raw):
        ignored = self.adapter.receive(self.now_ms, raw)
        return ignored, [json.loads(line) for line in self.adapter.take_lines(self.now_ms)]

    def ask(self, kind, dest="n1", msg_id=7, **fields):
        body = {"type": kind, "msg_id": msg_id, **fields}
        line = json.dumps({"src": "c1", "dest": dest, "body": body}).encode()
        ignored, replies = self.tell(line)
        assert not ignored, ignored
        return [reply["body"] for reply in replies if reply["dest"] == "c1"]

    def init(self):
        return self.ask("init", node_id="n1", node_ids=self.names)


@pytest.fixture
def talk():
    talk = Talk()
    assert talk.init() == [{"type": "init_ok", "in_reply_to": 7}]
    return talk


def test_broadcast_is_acknowledged_and_read(talk):
    assert talk.ask("topology", topology={"n1": []}) == [{"type": "topology_ok", "in_reply_to": 7}]
    assert talk.adapter.topology == {"n1": ()}
    assert talk.ask("read") == [{"type": "read_ok", "in_reply_to": 7, "messages": []}]
    for message in (5, {"b": [None], "a": 1.5}, 5):
        assert talk.ask("broadcast", message=message) == [
            {"type": "broadcast_ok", "in_reply_to": 7}
        ]
    assert talk.ask("read")[0]["messages"] == [5, {"a": 1.5, "b": [None]}]


def test_set_is_read_as_a_value(talk):
    assert talk.ask("add", element=5) == [{"type": "add_ok", "in_reply_to": 7}]
    assert talk.ask("read") == [{"type": "read_ok", "in_reply_to": 7, "value": [5]}]


def test_note_is_stored_before_it_is_acknowledged(talk):
    talk.ask("add", element=5)
    assert talk.adapter.node.view().vertices == 2  # the profile, the note


def test_publication_waits_while_the_core_may_not_speak():
    talk = Talk(names=("n1", "n2"))
    talk.init()
    assert talk.ask("broadcast", message=5) == []
    assert talk.ask("read")[0]["messages"] == []
    while not (lines := [x for x in talk.adapter.take_lines(talk.now_ms) if b"broadcast_ok" in x]):
        talk.now_ms = talk.adapter.next_wakeup or 0
        talk.adapter.tick(talk.now_ms)
    assert len(lines) == 1
    assert talk.ask("read")[0]["messages"] == [5]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"kind": "cas"}, 10),
        ({"kind": "broadcast"}, 12),
        ({"kind": "topology", "topology": 5}, 12),
        ({"kind": "init", "node_id": "n2", "node_ids": ["n2"]}, 22),
        ({"kind": "broadcast", "message": "x" * BODY_BYTES_MAX}, 11),
    ],
)
def test_request_is_answered_with_a_code_when_it_cannot_be_served(talk, request_, code):
    (body,) = talk.ask(**request_)
    assert (body["type"], body["code"], body["in_reply_to"]) == ("error", code, 7)


def test_init_may_come_twice(talk):
    assert talk.init() == [{"type": "init_ok", "in_reply_to": 7}]


@pytest.mark.parametrize("names", [["n2"], ["n1", "n1"]])
def test_init_is_refused_when_the_names_make_no_sense(names):
    talk = Talk(names=names)
    assert talk.init()[0]["code"] == 12
    assert talk.adapter.next_wakeup is None
    talk.adapter.tick(NOW_MS)  # nothing to do, and no harm


def test_requests_before_init_are_put_off():
    ignored, (reply,) = Talk().tell(
        b'{"src":"c1","dest":"n1","body":{"type":"broadcast","msg_id":1,"message":5}}'
    )
    assert (reply["src"], reply["body"]["code"], ignored) == ("n1", 11, "")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"garbage", "no message"),
        (b'{"src":"c1","dest":"n9","body":{"type":"read","msg_id":1}}', "a message to n9"),
        (b'{"src":"c1","dest":"n1","body":{"type":"read"}}', "wants no answer"),
        (b'{"src":"c1","dest":"n1","body":{"type":"read_ok","in_reply_to":1}}', "an answer"),
        (b'{"src":"n2","dest":"n1","body":{"type":"mesh"}}', "no packet"),
    ],
)
def test_line_is_ignored_when_nobody_waits_for_an_answer(talk, line, why):
    ignored, replies = talk.tell(line)
    assert why in ignored and replies == [] and talk.adapter.ignored == 1


def test_packet_before_init_is_ignored():
    ignored, _ = Talk().tell(b'{"src":"n2","dest":"n1","body":{"type":"mesh","session":1}}')
    assert "before the node has a name" in ignored


def test_publication_that_fails_later_is_aborted(talk):
    adapter = talk.adapter
    adapter._waiting[99] = type("Waiting", (), {"client": "c1", "request": "add", "msg_id": 7})()
    adapter._note(PublishFailed(99, "no"))
    (line,) = adapter.take_lines(NOW_MS)
    assert json.loads(line)["body"] == {"type": "error", "in_reply_to": 7, "code": 14, "text": "no"}


@pytest.mark.parametrize("body", [b"note", b"[" * 5_000, b"\xff"])
def test_note_that_holds_no_value_is_not_shown(talk, body):
    talk.adapter.node.publish(NOW_MS, 99, body)
    talk.adapter.node.take_facts()
    talk.adapter._keep(body)
    assert talk.ask("read")[0]["value"] == []


def test_nested_value_never_breaks_a_node_however_deep(talk):
    for depth in (90, *range(900, 1_010), 100_000):
        value = b"[" * depth + b"]" * depth
        talk.tell(b'{"src":"c1","dest":"n1","body":{"type":"add","msg_id":1,"element":%b}}' % value)
    (values,) = (reply["value"] for reply in talk.ask("read"))
    assert json.dumps(values) == "[" * 91 + "]" * 91


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "msg_id", "frames", "x"]), children, max_size=3)
    ),
    max_leaves=5,
)
BODIES = st.fixed_dictionaries(
    {"type": st.sampled_from(["init", "topology", "broadcast", "add", "read", "mesh", "x"])},
    optional={
        key: st.integers(-1, 3) | JSON
        for key in ("msg_id", "in_reply_to", "message", "element", "topology", "session", "echo")
    },
)
ANY_LINE = st.binary(max_size=60) | BODIES.map(
    lambda body: json.dumps({"src": "n2", "dest": "n1", "body": body}).encode()
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY_LINE, max_size=8))
def test_adapter_never_raises_whatever_it_reads(lines):
    talk = Talk(names=("n1", "n2"))
    talk.init()
    for line in lines:
        talk.tell(line)
    assert talk.ask("read")[0]["type"] == "read_ok"
