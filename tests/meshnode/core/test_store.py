"""Around the intake: who is charged, what is fetched, what waits for its time."""

from __future__ import annotations

import msgspec

from dag.identity import VerifiedVertex
from dag.ranges import cut_ref
from meshnode.core.author_pace import NEWS_BURST, NEWS_GAP_MS
from meshnode.core.events import VertexAdmitted
from meshnode.core.inputs import Standing
from meshnode.core.messages import Checkpoint, Digest, Get, IHave
from meshnode.core.suspicion import EXCUSED_MAX, WORD_MS
from tests.support.dag_builder import START_MS, DagBuilder
from tests.support.horizons import level
from tests.support.lone_core import LoneCore


def make():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(builder.vertices[1], request=1))
    return builder, lone, peer


def test_missing_parents_are_asked_of_the_sender():
    builder, lone, peer = make()
    notes = [builder.vertex(1, body=b"%d" % n, parents=()) for n in range(3)]
    assert not lone.sent(lone.receive(peer, lone.vertices(notes[2])), Get)
    (get,) = lone.sent(lone.tick(400), Get)
    assert get.ids == (notes[1].id,)
    assert lone.node.view().quarantined == 1
    effects = lone.receive(peer, lone.vertices(notes[1], request=get.request))
    (get,) = lone.sent(effects, Get)
    assert get.ids == (notes[0].id,)
    lone.receive(peer, lone.vertices(notes[0], request=get.request))
    assert all(lone.node.is_stored(note.id) for note in notes)
    admitted = [e.signed.id for e in lone.events if isinstance(e, VertexAdmitted)]
    assert admitted[-3:] == [note.id for note in notes]


def test_vertex_of_the_future_enters_when_its_time_has_come():
    builder, lone, peer = make()
    early = builder.vertex(1, time_ms=START_MS + 130_000, parents=())
    lone.receive(peer, lone.vertices(early))
    assert lone.node.view().held == 1
    assert not lone.node.is_stored(early.id)
    lone.tick(9_000)
    assert not lone.node.is_stored(early.id)
    lone.tick(1_000)
    assert lone.node.is_stored(early.id)


def test_held_vertex_whose_parents_are_missing_then_is_let_go():
    builder, lone, peer = make()
    missing = builder.vertex(1, parents=())
    early = builder.vertex(1, time_ms=START_MS + 130_000, parents=())
    lone.receive(peer, lone.vertices(early))
    lone.tick(9_999)
    lone.tick(1)
    assert not lone.node.is_stored(early.id)
    del missing


def lie(
    builder: DagBuilder, parent: VerifiedVertex, *, lamport: int = 8, body: bytes = b""
) -> VerifiedVertex:
    """A vertex that names its parent under a false lamport."""
    good = builder.vertex(1, parents=())
    false = (msgspec.structs.replace(parent.ref, lamport=lamport),)
    vertex = msgspec.structs.replace(good.vertex, lamport=lamport + 1, parents=false, body=body)
    return builder.sign(1, vertex)


def test_everybody_who_sent_what_turns_out_invalid_is_charged():
    builder, lone, peer = make()
    parent = builder.vertex(1, parents=())
    lone.receive(peer, lone.vertices(lie(builder, parent)))
    assert lone.node.view().quarantined == 1
    lone.receive(peer, lone.vertices(parent))
    lone.tick(WORD_MS - 1)
    assert lone.node.view().offences == {}
    lone.tick(1)
    assert lone.node.view().offences == {"bad_vertex": 1}
    assert lone.node.view().peers == ()


def test_who_does_not_look_so_deep_is_not_charged_for_what_it_passes_on():
    builder, lone, peer = make()
    parent = builder.vertex(1, parents=())
    bad = lie(builder, parent)
    lone.receive(peer, lone.vertices(parent, bad))
    assert not lone.node.is_stored(bad.id)
    lone.receive(peer, Checkpoint(1, bytes(32), level(8)))
    lone.tick(WORD_MS)
    assert lone.node.view().offences == {}
    lone.receive(peer, lone.vertices(lie(builder, parent, lamport=9)))
    lone.tick(WORD_MS)
    assert lone.node.view().offences == {"bad_vertex": 1}


def test_not_even_who_is_excused_is_listened_to_for_ever():
    builder, lone, peer = make()
    parent = builder.vertex(1, parents=())
    lone.receive(peer, lone.vertices(parent))
    lone.receive(peer, Checkpoint(1, bytes(32), level(8)))
    for number in range(EXCUSED_MAX):
        lone.receive(peer, lone.vertices(lie(builder, parent, body=b"%d" % number)))
    assert len(lone.node.view().peers) == 1
    lone.receive(peer, lone.vertices(lie(builder, parent, body=b"last")))
    assert lone.node.view().peers == ()
    assert lone.node.view().offences == {}
    lone.disconnect(peer)
    assert lone.greet()


def test_expired_quarantine_is_forgotten():
    builder, lone, peer = make()
    builder.vertex(1, parents=())
    orphan = builder.vertex(1, parents=())
    lone.receive(peer, lone.vertices(orphan))
    lone.disconnect(peer)
    assert lone.node.view().quarantined == 1
    lone.tick(30_000)
    assert lone.node.view().quarantined == 0
    assert lone.node.view().quarantined_bytes == 0


def test_parents_of_a_guests_profile_are_not_asked_for_at_the_door():
    builder = DagBuilder(authors=2).profiles()
    guest = builder.join(1)
    person = builder.people[guest]
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.connect(person)
    lone.receive(peer, lone.hello(peer))
    effects = lone.receive(peer, lone.vertices(builder.vertices[-1], request=-1))
    assert effects == []
    assert lone.node.view().quarantined == 0


def test_parents_are_not_asked_of_a_sender_that_has_left():
    builder, lone, peer = make()
    guest = builder.join(1)
    profile = builder.vertices[-1]
    builder.vertex(guest, parents=())
    last = builder.vertex(guest, parents=())
    lone.receive(peer, lone.vertices(last, standing=Standing.UNKNOWN_AUTHOR))
    lone.receive(peer, lone.vertices(*builder.vertices[:2], profile), finish=False)
    lone.disconnect(peer)
    view = lone.node.view()
    assert (view.quarantined, view.fetching) == (1, 0)


def test_vertex_is_needed_under_its_cut_reference_until_it_is_stored():
    builder, lone, peer = make()
    notes = [builder.vertex(1, body=b"%d" % n, parents=()) for n in range(2)]
    store = lone.node._store
    lone.receive(peer, lone.vertices(notes[1]))
    assert store.is_needed(cut_ref(notes[1].ref))
    assert not store.is_needed(notes[1].id)
    lone.receive(peer, lone.vertices(notes[0]))
    assert not store.is_needed(cut_ref(notes[1].ref))


def make_large() -> tuple[DagBuilder, LoneCore, str]:
    """A core whose mesh is too large for everybody to hear everybody."""
    builder = DagBuilder(authors=3).profiles()
    lone = LoneCore(genesis=builder.genesis, full_mesh_max=1)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(*builder.vertices[1:3]))
    return builder, lone, peer


def talk(builder: DagBuilder, lone: LoneCore, peer: str, count: int) -> list[VerifiedVertex]:
    """One author says so much at once."""
    notes = [builder.vertex(1, body=b"%d" % n, parents=()) for n in range(count)]
    for start in range(0, count, 50):
        lone.receive(peer, lone.vertices(*notes[start : start + 50]))
    return notes


def count_stored(lone: LoneCore, notes: list[VerifiedVertex]) -> int:
    return sum(lone.node.is_stored(note.id) for note in notes)


def test_author_that_says_too_much_waits_for_its_turn_in_a_large_mesh():
    builder, lone, peer = make_large()
    notes = talk(builder, lone, peer, NEWS_BURST + 40)
    stored = count_stored(lone, notes)
    assert stored < len(notes)
    # Again, which costs the author nothing, and from a second peer, which is not asked for it.
    lone.receive(peer, lone.vertices(*notes[:20], *notes[-20:]))
    assert not lone.sent(lone.receive(peer, IHave((notes[-1].id,))), Get)
    assert count_stored(lone, notes) == stored
    assert lone.node.next_wakeup == lone.now_ms + NEWS_GAP_MS
    lone.tick(NEWS_GAP_MS)
    assert count_stored(lone, notes) == stored + 1
    lone.tick(NEWS_GAP_MS * 40)
    assert count_stored(lone, notes) == len(notes)


def test_nobody_waits_in_a_full_mesh():
    builder, lone, peer = make()
    notes = talk(builder, lone, peer, NEWS_BURST + 40)
    assert count_stored(lone, notes) == len(notes)


def test_what_an_honest_vertex_stands_on_does_not_wait():
    builder, lone, peer = make_large()
    notes = talk(builder, lone, peer, NEWS_BURST + 40)
    child = builder.vertex(2, parents=(notes[-5].ref,))
    lone.receive(peer, lone.vertices(child))
    assert lone.node.is_stored(child.id)
    assert count_stored(lone, notes) == len(notes) - 4


def test_what_is_waited_for_does_not_wait():
    builder, lone, peer = make_large()
    talk(builder, lone, peer, NEWS_BURST + 40)
    late = builder.vertex(1, parents=())
    child = builder.vertex(2, parents=(late.ref,))
    lone.receive(peer, lone.vertices(child))
    assert not lone.node.is_stored(child.id)
    lone.receive(peer, lone.vertices(late))
    assert lone.node.is_stored(late.id)
    assert lone.node.is_stored(child.id)


def test_what_most_peers_hold_is_history_and_comes_at_once():
    builder, lone, peer = make_large()
    lone.receive(peer, Digest(bytes(32), 10_000, 10_000))
    notes = talk(builder, lone, peer, NEWS_BURST + 40)
    assert count_stored(lone, notes) == len(notes)


def test_turn_and_time_are_both_waited_for():
    builder, lone, peer = make_large()
    notes = talk(builder, lone, peer, NEWS_BURST + 40)
    early = builder.vertex(2, time_ms=START_MS + 120_010, parents=())
    lone.receive(peer, lone.vertices(early))
    assert lone.node.next_wakeup == lone.now_ms + 10
    lone.tick(10)
    assert lone.node.is_stored(early.id)
    lone.tick(NEWS_GAP_MS * 41)
    assert count_stored(lone, notes) == len(notes)
