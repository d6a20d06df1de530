"""The node as a whole: it converges, survives its own end anywhere, and trusts nobody."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dag.ranges import END, cut_ref, make_lamport_bound
from dag.types import Kind, Ref
from meshnode.core.commands import Connect, Serve
from meshnode.core.events import PeerServes, Published, VertexAdmitted
from meshnode.core.inputs import (
    Candidate,
    Checked,
    Completed,
    Connected,
    Disconnected,
    Received,
    Rejected,
    Signed,
    Standing,
    Submitted,
    Ticked,
    Vertices,
)
from meshnode.core.messages import (
    Advert,
    Digest,
    Disconnect,
    Get,
    GetLast,
    GetProfiles,
    Goodbye,
    Graft,
    Heads,
    Hello,
    IHave,
    ModelAdvert,
    Neighbour,
    Ping,
    Pong,
    Proof,
    Prune,
    Range,
    Ranges,
    Shuffle,
    ShuffleReply,
)
from meshnode.core.node import Node
from meshnode.core.recovered import Recovered
from tests.support.core_net import CoreNet
from tests.support.dag_builder import START_MS, DagBuilder, make_person
from tests.support.lone_core import LoneCore

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("suite", ["ed25519", "hybrid"])
def test_four_nodes_hold_what_any_of_them_said(suite):
    net = CoreNet(4, suite=suite)
    net.start()
    net.run(1_000)
    assert net.meshed
    for number in range(8):
        net.hosts[number % 4].publish(b"%d" % number, token=number)
        net.run(10)
    net.run_until(lambda: net.converged and net.hosts[0].core.view().vertices == 12)
    for host in net.hosts:
        assert host.core.view().offences == {}
        assert len(host.find(VertexAdmitted)) == len(host.journal) == 12
    assert [event.token for event in net.hosts[1].find(Published)] == [1, 5]


def test_four_nodes_stay_quiet_when_nothing_happens():
    net = CoreNet(4)
    net.start()
    net.run(30_000)
    before = sum(host.sent_bytes for host in net.hosts)
    net.run(60_000)
    per_link_second = (sum(host.sent_bytes for host in net.hosts) - before) / 12 / 60
    assert per_link_second < 60


def test_advert_reaches_peers_at_once_and_new_ones_on_ready():
    net = CoreNet(3)
    net.start(net.hosts[:2])
    net.run(1_000)
    model = ModelAdvert("echo", "1", 4_096, False, "echo", "Echo")
    net.hosts[0].submit(Serve((model,), 2, 0, 0, False))
    net.run(100)
    net.hosts[2].start()
    net.run(2_000)
    for host in net.hosts[1:]:
        (serves,) = host.find(PeerServes)
        assert serves.models == (model,)
        assert serves.slots == 2
        advert = next(p.advert for p in host.core.view().peers if p.peer == net.hosts[0].name)
        assert advert is not None


def test_partitioned_founders_speak_after_fifteen_seconds():
    net = CoreNet(2)
    net.cut(net.hosts[:1], net.hosts[1:])
    net.start()
    net.run(14_900)
    assert net.hosts[0].core.view().vertices == 0
    net.run(200)
    assert net.hosts[0].core.view().vertices == 1


def test_restart_at_every_persist_never_forks_and_recovers():
    """Killed before its k-th write, for every k: nothing that was heard is ever said otherwise."""
    finished = False
    for crash_after in range(60):
        net = CoreNet(3)
        victim = net.hosts[0]
        victim.crash_after = crash_after
        net.start()
        for step in range(12):
            net.run(300)
            if victim.node is None:
                net.run(200)
                victim.start()
            victim.publish(b"v%d" % step, token=step)
            net.hosts[1].publish(b"o%d" % step)
        net.run(8_000)
        assert net.meshed
        assert net.converged
        assert not net.hosts[1].core.view().forks
        acknowledged = [event.signed.id for event in victim.find(Published)]
        assert all(vertex_id in victim.journal for vertex_id in acknowledged)
        slots = [(s.vertex.author, s.vertex.lane, s.vertex.seq) for s in victim.journal.values()]
        assert len(slots) == len(set(slots))
        finished = victim.crash_after is not None
        if finished:
            break
    assert finished, "the run has more writes than were tried"


def test_node_restored_from_nothing_takes_its_past_back():
    net = CoreNet(3)
    net.start()
    net.run(1_000)
    for number in range(30):
        net.hosts[0].publish(b"%d" % number)
        net.run(5)
    net.run(1_000)
    victim = net.hosts[0]
    victim.crash()
    victim.journal.clear()
    victim.values.clear()
    net.run(1_000)
    victim.start()
    victim.publish(b"after", token=99)
    net.run(10_000)
    assert net.converged
    assert not net.hosts[1].core.view().forks
    (published,) = [e for e in victim.find(Published) if e.token == 99]
    assert published.signed.vertex.seq == 31


def test_replayed_messages_change_nothing():
    net = CoreNet(3)
    net.start()
    net.run(1_000)
    for number in range(10):
        net.hosts[number % 3].publish(b"%d" % number)
        net.run(20)
    net.run(2_000)
    target = net.hosts[2]
    before = target.core.view()
    for entry in list(target.inputs):
        if isinstance(entry, Received) and isinstance(entry.message, Vertices):
            target.handle(
                msgspec.structs.replace(
                    entry,
                    now_ms=net.now_ms,
                    message=msgspec.structs.replace(entry.message, request=0),
                )
            )
    after = target.core.view()
    assert (after.vertices, after.heads, after.offences) == (
        before.vertices,
        before.heads,
        before.offences,
    )


def run_scenario() -> list[str]:
    net = CoreNet(4)
    net.start()
    for number in range(40):
        net.hosts[number % 4].publish(b"%d" % number)
        net.run(60)
        if number == 20:
            net.cut(net.hosts[:2], net.hosts[2:])
        if number == 30:
            net.heal()
    net.run(5_000)
    assert net.converged
    return net.traces()


def test_same_inputs_give_the_same_bytes():
    assert run_scenario() == run_scenario()


def test_hash_seed_changes_nothing():
    code = "from tests.meshnode.core.test_node import run_scenario; print(*run_scenario())"
    outputs = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        outputs.append(
            subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == 4


def test_recorded_inputs_repeat_a_life():
    net = CoreNet(2)
    net.start()
    net.run(500)
    net.hosts[0].publish()
    net.run(3_000)
    host = net.hosts[0]
    seed = hashlib.sha256(host.seed + bytes([1])).digest()
    node = Node(host.settings, seed, Recovered())
    trace = hashlib.sha256(msgspec.msgpack.encode(node.start(START_MS)))
    encoded = [msgspec.msgpack.encode(entry) for entry in host.inputs]
    union = Received | Rejected | Connected | Disconnected | Submitted | Completed | Ticked
    decoder = msgspec.msgpack.Decoder(union)
    for data in encoded:
        trace.update(msgspec.msgpack.encode(node.handle(decoder.decode(data))))
    assert trace.hexdigest() == host.trace.hexdigest()


def test_time_that_goes_back_is_a_programmer_error():
    lone = LoneCore()
    with pytest.raises(AssertionError, match="time went back"):
        lone.handle(Ticked(lone.now_ms - 1))


def test_receipt_without_job_is_a_programmer_error():
    lone = LoneCore()
    with pytest.raises(AssertionError, match="is not running"):
        lone.handle(Completed(lone.now_ms, 999, Signed(b"")))


def test_second_connection_of_one_peer_is_a_programmer_error():
    lone = LoneCore()
    peer = lone.connect()
    with pytest.raises(AssertionError, match="one connection"):
        lone.connect_raw(peer)


def test_messages_of_unknown_connections_are_nothing():
    lone = LoneCore()
    assert lone.receive("nobody", Ping(1)) == []
    assert lone.disconnect("nobody") == []


def test_vertices_after_an_offence_in_one_message_are_not_looked_at():
    builder = DagBuilder(authors=3).profiles()
    vertex = builder.vertices[1].vertex
    bad = builder.sign(1, msgspec.structs.replace(vertex, kind=Kind.NOTE))
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.tick(1_000)
    lone.receive(peer, lone.vertices(bad, builder.vertices[1]))
    assert lone.node.view().offences == {"bad_vertex": 1}
    assert not lone.node.is_stored(builder.vertices[1].id)
    assert lone.node.view().peers == ()
    again = lone.greet(builder.people[2])
    lone.receive(again, lone.vertices(bad, request=2))
    assert lone.node.view().offences == {"bad_vertex": 1, "unasked": 1}


# --- anything a peer may say --------------------------------------------------------------------

BUILDER = DagBuilder(authors=3).profiles().layer().layer()
BUILDER.fork(2).layer()
TWINS = [BUILDER.twin(signed, body=b"again") for signed in BUILDER.vertices[3:6]]
STRANGER = DagBuilder(authors=5).profiles().layer()
POOL = [*BUILDER.vertices, *TWINS, *STRANGER.vertices]

ids = st.one_of(st.binary(min_size=32, max_size=32), st.sampled_from([s.id for s in POOL]))
authors = st.sampled_from([make_person(n).author for n in range(6)])
counters = st.one_of(st.integers(0, 5), st.integers(0, 2**63 - 1))
ENDS = cut_ref(Ref(1, bytes(32)))


def make_ranges(session, answer, bounds, data):
    """Ranges as admission lets them through: names only in answers, and within their range."""
    uppers = [make_lamport_bound(bound) for bound in sorted(bounds)]
    lower, *rest = [*uppers, END]
    items = []
    below = lower
    for upper, held in zip(rest, data, strict=False):
        names = held is not None and len(held) != 16
        fits = not names or (answer and (not held or below <= held < upper))
        items.append(Range(upper, held if fits else None))
        below = upper
    return Ranges(session, answer, lower, tuple(items))


digests = st.builds(Digest, st.binary(min_size=32, max_size=32), counters, counters)
refs = st.one_of(
    st.sampled_from([s.ref for s in POOL]),
    st.builds(Ref, st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32)),
)
candidates = st.builds(Candidate, st.sampled_from(POOL), st.sampled_from(list(Standing)))
messages: st.SearchStrategy[Checked] = st.one_of(
    st.builds(
        Hello, st.just(1), st.just(BUILDER.network), authors, ids, st.just("x"), st.just(("/x",))
    ),
    st.builds(Proof, st.binary(max_size=64)),
    st.builds(Goodbye, st.text(max_size=5)),
    digests,
    st.builds(Ping, counters),
    st.builds(Pong, counters, digests, counters),
    st.builds(IHave, st.lists(ids, max_size=8).map(tuple)),
    st.builds(Get, counters, st.lists(ids, max_size=8).map(tuple)),
    st.builds(GetProfiles, counters, st.lists(authors, max_size=8).map(tuple)),
    st.builds(GetLast, counters, authors),
    st.builds(
        Heads,
        st.lists(refs, max_size=8, unique=True).map(lambda r: tuple(sorted(r))),
        digests,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(
        make_ranges,
        st.integers(0, 3),
        st.booleans(),
        st.lists(st.integers(0, 9), unique=True, min_size=1, max_size=5),
        st.lists(st.sampled_from([None, bytes(16), b"", ENDS]), min_size=5, max_size=5),
    ),
    st.builds(Advert, counters, st.just(()), counters, counters, counters, st.booleans()),
    st.builds(Neighbour, st.booleans()),
    st.builds(
        lambda make, found: make(tuple(found)),
        st.sampled_from([Disconnect, Shuffle, ShuffleReply]),
        st.lists(authors, max_size=8),
    ),
    st.sampled_from([Graft(), Prune()]),
    st.builds(
        Vertices,
        st.one_of(st.integers(-1, 6), st.just(0)),
        st.lists(candidates, max_size=6).map(tuple),
        st.lists(ids, max_size=3).map(tuple),
        counters,
        st.booleans(),
    ),
)


@given(
    steps=st.lists(
        st.one_of(messages, st.integers(0, 3_000), st.just("again")), min_size=1, max_size=40
    )
)
@example(steps=[Digest(bytes(32), 0, 0), 2_000, 3_000])
@settings(max_examples=150)
def test_no_message_makes_a_node_raise(steps):
    lone = LoneCore(genesis=BUILDER.genesis)
    peer = lone.greet()
    for step in steps:
        if isinstance(step, int):
            lone.tick(step)
            wakeup_ms = lone.node.next_wakeup
            assert wakeup_ms is None or wakeup_ms > lone.now_ms
        elif step == "again":
            lone.disconnect(peer)
            peer = lone.connect(transport=peer + "x")
            lone.receive(peer, lone.hello(peer))
            lone.prove(peer)
        else:
            lone.receive(peer, step)
    view = lone.node.view()
    assert view.vertices == len(lone.journal)
    for signed in lone.journal.values():
        assert all(ref.id in lone.journal for ref in signed.vertex.parents)


def test_connect_command_leads_to_a_connection():
    net = CoreNet(2, genesis=DagBuilder(authors=2).genesis)
    net.start()
    net.run(2_000)
    assert not net.meshed
    other = net.hosts[1]
    net.hosts[0].submit(Connect(other.name, other.settings.addresses))
    net.run(200)
    assert net.meshed
    assert Kind.PROFILE == 0
