"""A fork is told, proved once for all, and its author not built upon."""

from __future__ import annotations

from consensus.block import read_position
from consensus.block_store import BlockStore
from consensus.validity import judge_bytes
from dag import evidence as evidence_module
from dag.bodies import EVIDENCE_DECODER
from dag.canonical import encode
from dag.evidence import make_evidence, verify_evidence
from dag.identity import trust_stored
from dag.types import Kind
from meshnode.core import forks
from meshnode.core.events import ForkSeen
from meshnode.core.messages import Push, encode_message
from tests.support.block_dag import BlockDag, own_first
from tests.support.core_net import CoreNet
from tests.support.dag_builder import DagBuilder
from tests.support.lone_core import LoneCore


def make_forked():
    """Three founders, the third forked, and evidence that the second published."""
    builder = DagBuilder(authors=3).profiles()
    one = builder.vertex(2, parents=())
    twin = builder.twin(one)
    return builder, one, twin


def open_lone(builder):
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.tick(1_000)
    return lone, peer


def evidence_of(lone):
    return [s for s in lone.journal.values() if s.vertex.kind == Kind.EVIDENCE]


def test_fork_is_told_and_proved():
    builder, one, twin = make_forked()
    lone, peer = open_lone(builder)
    lone.receive(peer, lone.vertices(*builder.vertices[1:], twin))
    (seen,) = [event for event in lone.events if isinstance(event, ForkSeen)]
    assert (seen.author, seen.seq, seen.first, seen.second) == (
        builder.people[2].author,
        1,
        one.id,
        twin.id,
    )
    assert lone.node.next_wakeup is not None
    lone.tick(2_000)
    (vertex,) = evidence_of(lone)
    evidence = EVIDENCE_DECODER.decode(vertex.vertex.body)
    proven = verify_evidence(builder.people[2].keys, "ed25519", builder.network, evidence)
    assert {proven.first.id, proven.second.id} == {one.id, twin.id}
    lone.tick(10_000)
    assert len(evidence_of(lone)) == 1
    lone.restart()
    lone.tick(10_000)
    assert len(evidence_of(lone)) == 1


def test_fork_that_somebody_else_proved_is_not_proved_again():
    builder, one, twin = make_forked()
    lone, peer = open_lone(builder)
    lone.receive(peer, lone.vertices(*builder.vertices[1:], twin))
    theirs = builder.vertex(
        1, kind=Kind.EVIDENCE, body=encode(make_evidence(one, twin)), parents=()
    )
    lone.receive(peer, lone.vertices(theirs))
    lone.tick(2_000)
    assert [vertex.id for vertex in evidence_of(lone)] == [theirs.id]
    assert len([event for event in lone.events if isinstance(event, ForkSeen)]) == 1


def test_evidence_that_comes_while_the_own_is_prepared_stops_it():
    builder, one, twin = make_forked()
    lone, peer = open_lone(builder)
    lone.receive(peer, lone.vertices(*builder.vertices[1:], twin))
    lone.now_ms += 2_000
    lone.handle(lone.ticked(), finish=False)
    theirs = builder.vertex(
        1, kind=Kind.EVIDENCE, body=encode(make_evidence(one, twin)), parents=()
    )
    lone.receive(peer, lone.vertices(theirs))
    assert [vertex.id for vertex in evidence_of(lone)] == [theirs.id]


def test_evidence_alone_marks_an_author():
    builder, one, twin = make_forked()
    lone, peer = open_lone(builder)
    theirs = builder.vertex(
        1, kind=Kind.EVIDENCE, body=encode(make_evidence(one, twin)), parents=()
    )
    lone.receive(peer, lone.vertices(builder.vertices[1], theirs))
    assert [fork.author for fork in lone.node.view().forks] == [builder.people[2].author]
    assert len([event for event in lone.events if isinstance(event, ForkSeen)]) == 1
    again = builder.vertex(1, kind=Kind.EVIDENCE, body=encode(make_evidence(one, twin)), parents=())
    lone.receive(peer, lone.vertices(again))
    assert len([event for event in lone.events if isinstance(event, ForkSeen)]) == 1


def test_order_of_evidence_and_profile_does_not_matter():
    builder = DagBuilder(authors=2).profiles()
    guest = builder.join(1)
    profile = builder.vertices[-1]
    one = builder.vertex(guest, parents=())
    proof = encode(make_evidence(one, builder.twin(one)))
    evidence = builder.vertex(
        1, kind=Kind.EVIDENCE, body=proof, parents=[builder.profile_ref(1), builder.profile_ref(0)]
    )
    digests = []
    for order in ((profile, one, evidence), (evidence, profile, one)):
        lone, peer = open_lone(builder)
        lone.receive(peer, lone.vertices(*builder.vertices[:2], *order))
        assert [fork.author for fork in lone.node.view().forks] == [profile.vertex.author]
        digests.append({ref.id for ref in lone.node.view().heads} & {item.id for item in order})
        lone.restart()
        assert [fork.author for fork in lone.node.view().forks] == [profile.vertex.author]
    assert digests[0] == digests[1]


def test_evidence_about_nobody_is_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr(forks, "EARLY_MAX", 1)
    builder = DagBuilder(authors=2).profiles()
    guests = [builder.join(1) for _ in range(2)]
    profiles = [builder.vertices[-2], builder.vertices[-1]]
    lone, peer = open_lone(builder)
    lone.receive(peer, lone.vertices(*builder.vertices[:2]))
    for guest in guests:
        one = builder.vertex(guest, parents=())
        proof = encode(make_evidence(one, builder.twin(one)))
        lone.receive(
            peer, lone.vertices(builder.vertex(1, kind=Kind.EVIDENCE, body=proof, parents=()))
        )
    lone.receive(peer, lone.vertices(*profiles))
    assert [fork.author for fork in lone.node.view().forks] == [profiles[0].vertex.author]


def test_evidence_that_proves_nothing_is_inert():
    builder, one, _ = make_forked()
    other = builder.vertex(2, parents=())
    lone, peer = open_lone(builder)
    bodies = [b"junk", encode(make_evidence(one, other))]
    false = [builder.vertex(1, kind=Kind.EVIDENCE, body=body, parents=()) for body in bodies]
    lone.receive(peer, lone.vertices(builder.vertices[1], *false))
    assert len(evidence_of(lone)) == 2
    assert lone.node.view().forks == ()
    assert lone.node.view().offences == {}


def test_fork_seen_by_all_is_proved_once_and_stores_stay_equal():
    net = CoreNet(4)
    net.start()
    net.run(1_000)
    for number in range(4):
        net.hosts[number].publish(b"%d" % number)
        net.run(100)
    villain = net.hosts[3]
    own = [s for s in villain.journal.values() if s.vertex.author == villain.person.author][-1]
    builder = DagBuilder(authors=4)
    twin = builder.twin(trust_stored(own))
    villain.crash()
    net.run(100)
    villain.journal = {i: s for i, s in villain.journal.items() if i != own.id}
    for host in net.hosts[:2]:
        peer = net.hosts[2].name
        host.receive(peer, push(twin))
    net.run(10_000)
    views = [host.core.view() for host in net.hosts[:3]]
    assert [len(view.forks) for view in views] == [1, 1, 1]
    assert len({view.heads_digest for view in views}) == 1
    proofs = [s for s in net.hosts[0].journal.values() if s.vertex.kind == Kind.EVIDENCE]
    assert len(proofs) == 1


def push(*signed):
    return encode_message(Push(tuple(item.wire for item in signed)))


def test_forked_node_does_not_publish_evidence():
    builder, one, twin = make_forked()
    lone, peer = open_lone(builder)
    lone.publish(b"mine")
    mine = [s for s in lone.journal.values() if s.vertex.author == lone.person.author][-1]
    lone.receive(peer, lone.vertices(*builder.vertices[1:], twin, builder.twin(trust_stored(mine))))
    lone.tick(2_000)
    assert evidence_of(lone) == []
    assert lone.node.view().speech == "forked"
    assert one.id != twin.id


def open_lattice():
    """A committee of four without its second member's node, and the first three rounds."""
    dag = BlockDag()
    lone, peer = open_lone(dag.builder)
    rows = dag.rows(2)
    lone.receive(peer, lone.vertices(*dag.builder.vertices[1:]))
    return dag, lone, peer, rows


def test_twins_on_two_branches_fork_the_lane_further_down():
    """One lane cannot hold two blocks of a round, so such twins differ at an earlier seq."""
    dag, lone, peer, rows = open_lattice()
    other = dag.block(2, 1, time_ms=1)
    parents = [other, *rows[1][:2], rows[1][3]]
    short = dag.block(2, 3, parents, previous_round=1, seq=1)
    long = dag.block(2, 3, own_first(rows[1], dag.builder.people[2].author))
    assert (short.vertex.seq, long.vertex.seq) == (1, 2)
    lone.receive(peer, lone.vertices(*rows[0], *rows[1], long, other, short))
    (fork,) = lone.node.view().forks
    assert (fork.author, fork.seq) == (dag.builder.people[2].author, 0)


def make_position_twins():
    """Two blocks of one round in two slots, as a lane whose fork is forgotten shows them."""
    dag, lone, peer, _ = open_lattice()
    one = dag.block(2, 1, time_ms=1)
    two = dag.block(2, 1, predecessor=one, time_ms=2)
    lone.receive(peer, lone.vertices(one, two))
    assert lone.node.view().forks == ()
    blocks = [judge_bytes(signed, dag.network, dag.committee) for signed in (one, two)]
    return dag, lone, (one, two), blocks, BlockStore(dag.committee)


def test_twins_whose_branches_meet_below_the_floor_are_told_and_proved_by_their_bodies():
    dag, lone, signed, blocks, store = make_position_twins()
    accused = dag.builder.people[2]
    forks_seen = []
    for block in (blocks[0], None, blocks[1], blocks[1]):
        if block is not None and store.get(block.id) is None:
            store.add(block)
        lone.node._forks.on_block(lone.now_ms, block, store)
        forks_seen.append(len(lone.node.view().forks))
    assert forks_seen == [0, 0, 1, 1]
    (fork,) = lone.node.view().forks
    assert {fork.first, fork.second} == {one.ref for one in signed}
    lone.tick(2_000)
    (vertex,) = evidence_of(lone)
    evidence = EVIDENCE_DECODER.decode(vertex.vertex.body)
    proven = verify_evidence(accused.keys, "ed25519", dag.network, evidence, read_position)
    assert {proven.first.id, proven.second.id} == {one.id for one in signed}
    lone.restart()
    assert [fork.author for fork in lone.node.view().forks] == [accused.author]


def test_evidence_that_fits_no_body_is_not_published(monkeypatch):
    _, lone, _, blocks, store = make_position_twins()
    monkeypatch.setattr(evidence_module, "BODY_BYTES_MAX", 300)
    for block in blocks:
        store.add(block)
    lone.node._forks.on_block(lone.now_ms, blocks[1], store)
    lone.tick(2_000)
    assert evidence_of(lone) == []
    assert len(lone.node.view().forks) == 1
