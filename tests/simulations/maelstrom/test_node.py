"""The real core over Maelstrom's messages, without processes."""

from __future__ import annotations

import pytest

from dag.errors import Offence
from meshnode.core.effects import LoadStored, RunJob
from meshnode.core.events import OffenceSeen, Published, VertexAdmitted
from simulations.maelstrom.links import Link
from simulations.maelstrom.node import MeshNode, derive_identity
from simulations.maelstrom.plan import Plan
from simulations.maelstrom.virtual import VirtualRun

NOW_MS = 1_700_000_000_000


def make(name, names):
    return MeshNode(name, names, now_ms=NOW_MS, seed=bytes(32), fidelity="cached")


def exchange(now_ms, nodes):
    while True:
        passed = [
            (source, target, packet)
            for source, node in nodes.items()
            for target, packet in node.take_packets(now_ms)
        ]
        if not passed:
            return
        for source, target, packet in passed:
            nodes[target].receive(now_ms, source, packet)


def run(nodes, duration_ms):
    now_ms = NOW_MS
    while now_ms <= NOW_MS + duration_ms:
        for node in nodes.values():
            node.tick(now_ms)
        exchange(now_ms, nodes)
        now_ms = max(now_ms + 1, min(node.next_wakeup for node in nodes.values()))
    return now_ms


def test_processes_found_one_network_without_talking():
    assert derive_identity("n1") == derive_identity("n1") != derive_identity("n2")
    names = ("n1", "n2", "n3")
    nodes = {name: make(name, names) for name in names}
    run(nodes, 2_000)
    views = [node.view() for node in nodes.values()]
    assert len({view.heads_digest for view in views}) == 1
    assert all(len(view.peers) == 2 for view in views)


def test_note_reaches_the_other_node_after_it_was_stored():
    nodes = {name: make(name, ("n1", "n2")) for name in ("n1", "n2")}
    now_ms = run(nodes, 2_000)
    for node in nodes.values():
        node.take_facts()
    nodes["n1"].publish(now_ms, 5, b"note")
    exchange(now_ms, nodes)
    own, other = nodes["n1"].take_facts(), nodes["n2"].take_facts()
    (published,) = (fact for fact in own if isinstance(fact, Published))
    (admitted,) = (fact for fact in other if isinstance(fact, VertexAdmitted))
    assert published.token == 5 and admitted.signed.id == published.signed.id


def test_missed_notes_are_fetched_once_a_node_is_heard_of_again():
    nodes = {name: make(name, ("n1", "n2")) for name in ("n1", "n2")}
    lone = {"n1": nodes["n1"]}
    now_ms = NOW_MS
    while now_ms < NOW_MS + 8_000:  # nothing n1 says arrives
        lone["n1"].tick(now_ms)
        lone["n1"].take_packets(now_ms)
        now_ms = max(now_ms + 1, lone["n1"].next_wakeup)
    for token in range(3):
        lone["n1"].publish(now_ms, token, b"note")
    until_ms = now_ms + 10_000
    while now_ms < until_ms:
        for node in nodes.values():
            node.tick(now_ms)
        exchange(now_ms, nodes)
        now_ms = max(now_ms + 1, min(node.next_wakeup for node in nodes.values()))
    assert nodes["n1"].view().heads_digest == nodes["n2"].view().heads_digest
    assert nodes["n2"].view().vertices == 5


def test_garbage_of_a_peer_ends_its_connection():
    node = make("n1", ("n1", "n2"))
    liar = Link()
    liar.dial(NOW_MS)
    for _ in range(3):
        for packet in liar.take_packets(NOW_MS):
            node.receive(NOW_MS, "n2", packet)
        for name, packet in node.take_packets(NOW_MS):
            assert name == "n2"
            liar.receive(NOW_MS, packet)
    liar.send(NOW_MS, b"garbage")
    for packet in liar.take_packets(NOW_MS):
        node.receive(NOW_MS, "n2", packet)
    offences = [fact.offence for fact in node.take_facts() if isinstance(fact, OffenceSeen)]
    assert offences == [Offence.MALFORMED]
    assert node.view().peers == ()


@pytest.mark.parametrize("fidelity", ["bytes", "cached"])
def test_every_signature_is_checked_whatever_the_fidelity(fidelity):
    node = MeshNode("n1", ("n1",), now_ms=NOW_MS, seed=bytes(32), fidelity=fidelity)
    node.publish(NOW_MS, 1, b"note")
    assert node.view().vertices == 2


def test_stored_vertices_are_loaded_and_missing_ones_left_out():
    node = make("n1", ("n1",))
    node.publish(NOW_MS, 1, b"note")
    (stored,) = (fact.signed for fact in node.take_facts() if isinstance(fact, Published))
    loaded = node._work(RunJob(1, LoadStored((stored.id, bytes(32)))))
    assert [signed.id for signed in loaded.vertices] == [stored.id]


def test_long_partition_ends_connections_and_they_come_back():
    plan = Plan(
        nodes=3, latency_ms=20, time_limit_ms=50_000, partitions=True, partition_ms=22_000, rate=2.0
    )
    run_ = VirtualRun(plan)
    begun_ms = run_.now_ms
    while run_.now_ms < begun_ms + 42_000:
        run_.step()
    assert min(len(view.peers) for view in show(run_)) == 0
    run_.run()
    assert min(len(view.peers) for view in show(run_)) == 2
    assert len({view.heads_digest for view in show(run_)}) == 1


def show(run_):
    return [adapter.node.view() for adapter in run_.adapters.values()]
