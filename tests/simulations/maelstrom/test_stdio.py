"""A node over pipes."""

from __future__ import annotations

import json
import os
import threading

import pytest

from simulations.maelstrom.stdio import RealClock, serve


@pytest.fixture
def wires():
    """A node in a thread: (write to it, read from it)."""
    source, to_node = os.pipe()
    from_node, target = os.pipe()
    thread = threading.Thread(target=serve, args=(source, target))
    thread.start()
    yield os.fdopen(to_node, "wb", buffering=0), os.fdopen(from_node, "rb", buffering=0)
    thread.join(10)
    assert not thread.is_alive()
    os.close(source)
    os.close(target)


def read_line(stream):
    line = b""
    while not line.endswith(b"\n"):
        line += stream.read(1)
    return json.loads(line)


def make_init(names):
    body = {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": names}
    return json.dumps({"src": "c0", "dest": "n1", "body": body}).encode() + b"\n"


def test_node_answers_until_its_input_ends(wires, capsys):
    to_node, from_node = wires
    with to_node, from_node:
        to_node.write(b"garbage\n" + make_init(["n1"]))
        assert read_line(from_node)["body"] == {"type": "init_ok", "in_reply_to": 1}
        to_node.write(b'{"src":"c1","dest":"n1","body":{"type":"add","msg_id":2,"element":5}}\n')
        assert read_line(from_node)["body"] == {"type": "add_ok", "in_reply_to": 2}
        to_node.close()
    assert "ignored: no message" in capsys.readouterr().err


def test_node_does_by_itself_what_is_due(wires):
    to_node, from_node = wires
    with to_node, from_node:
        to_node.write(make_init(["n1", "n2"]))
        read_line(from_node)
        greetings = [read_line(from_node)["body"] for _ in range(2)]  # the second after a second
        assert [body["type"] for body in greetings] == ["mesh", "mesh"]
        to_node.close()


def test_node_ends_when_nobody_reads(wires):
    to_node, from_node = wires
    from_node.close()
    with to_node:
        to_node.write(make_init(["n1"]))
    # The fixture sees the thread end.


def test_clock_shows_the_time_and_never_goes_back():
    clock = RealClock()
    times_ms = [clock.read_ms() for _ in range(100)]
    assert times_ms == sorted(times_ms) and times_ms[0] > 1_700_000_000_000
