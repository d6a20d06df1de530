"""Every promise is broken once, by hand, and the checker made for it says so; nothing else does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dag.canonical import encode
from dag.errors import Offence
from dag.evidence import make_evidence
from dag.types import Kind, Ref
from dag.vertex import Envelope, SignedVertex, decode_signed, encode_vertex
from meshnode.core.bans import BANS_KEY
from meshnode.core.effects import ForgetVertices, Penalise, Persist, StoreValue, StoreVertex
from meshnode.core.events import ForkSeen, PeerReady, Published, VertexAdmitted
from meshnode.core.messages import Digest, Heads, IHave, Items, Pong, Push
from simulations import World
from simulations import checkers as module
from simulations.books import Books
from simulations.checkers import (
    Agreement,
    Authorship,
    Bounds,
    Durability,
    Fairness,
    Proofs,
)
from simulations.errors import CheckFailed, SimulationFailed
from simulations.host import Host
from simulations.mesh import Mesh
from tests.support.horizons import level

INPUT: Any = None
"""What came in, for checkers that do not read it."""


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    """Three hosts that agree, each with a profile and two notes."""
    world = World(3)
    mesh = world.add_mesh(3)
    world.run_until(lambda: mesh.meshed, 5_000)
    for number in range(2):
        for host in mesh:
            host.publish(bytes([number]))
        world.run_for(1_000)
    return mesh


def list_stored(host: Host) -> list[SignedVertex]:
    return [decode_signed(wire) for wire in reversed(list(host.disk.newest_wires()))]


def find_last(host: Host) -> SignedVertex:
    own = host.identity.author
    return [signed for signed in list_stored(host) if signed.vertex.author == own][-1]


def change(signed: SignedVertex, **changes: object) -> SignedVertex:
    """Another vertex under the old signature."""
    unsigned = encode_vertex(msgspec.structs.replace(signed.vertex, **changes))
    return decode_signed(encode(Envelope(unsigned, signed.signature)))


def keep(signed: SignedVertex, vertex_id: bytes = b"") -> list[Persist]:
    return [Persist(StoreVertex(vertex_id or signed.id, signed.wire))]


def open_books(mesh: Mesh) -> Books:
    books = Books(mesh)
    for host in mesh:
        books.on_started(host)
    return books


def make_fake(**parts: Any) -> Any:
    """What a checker reads of a host."""
    return SimpleNamespace(**parts)


def expect(check: str):
    return pytest.raises(CheckFailed, match=f"^{check}: ")


# --- books ---------------------------------------------------------------------------------------


def test_books_hold_what_disks_hold(mesh: Mesh):
    books = open_books(mesh)
    for host in mesh:
        assert tuple(books.stores[host.index]) == host.disk.stored_ids()
        assert len(books.stores[host.index]) == host.view().vertices
    books.on_effects(mesh[0], [Persist(StoreValue("key", b"value"))])


def test_books_find_a_core_that_holds_what_it_has_not_kept(mesh: Mesh):
    books = Books(mesh)
    books.stores[0] = {}
    host = make_fake(
        index=0,
        identity=mesh[0].identity,
        disk=mesh[0].disk,
        core=SimpleNamespace(is_over=False),
        summarise=lambda: COUNTS,
    )
    with expect("persisted"):
        books.on_started(host)


COUNTS = SimpleNamespace(vertices=1)


def test_books_find_vertices_that_are_not_what_they_are_stored_as(mesh: Mesh):
    books = open_books(mesh)
    last = find_last(mesh[0])
    with expect("identified"):
        books.on_effects(mesh[0], keep(last, bytes(32)))
    with expect("stored-once"):
        books.on_effects(mesh[0], keep(last))


def test_books_find_one_vertex_in_two_forms(mesh: Mesh):
    books = open_books(mesh)
    last = find_last(mesh[0])
    del books.stores[1][last.id]
    other = decode_signed(encode(Envelope(encode_vertex(last.vertex), bytes(64))))
    assert other.id == last.id
    with expect("one-form"):
        books.on_effects(mesh[1], keep(other))


def test_books_find_vertices_without_what_they_stand_on(mesh: Mesh):
    books = open_books(mesh)
    last = find_last(mesh[0])
    stranger = Ref(last.vertex.lamport, bytes(32))
    parents = (last.ref, stranger)
    with expect("ancestor-closed"):
        books.on_effects(
            mesh[0],
            keep(
                change(
                    last, parents=parents, seq=last.vertex.seq + 1, lamport=last.vertex.lamport + 1
                )
            ),
        )


def test_books_find_parents_named_wrongly(mesh: Mesh):
    books = open_books(mesh)
    last = find_last(mesh[0])
    wrong = (Ref(last.vertex.lamport + 1, last.id),)
    false = change(last, parents=wrong, seq=last.vertex.seq + 1, lamport=last.vertex.lamport + 2)
    with expect("parent-lamport"):
        books.on_effects(mesh[0], keep(false))


def test_books_find_a_chain_with_a_gap(mesh: Mesh):
    books = open_books(mesh)
    last = find_last(mesh[0])
    false = change(
        last, parents=(last.ref,), seq=last.vertex.seq + 2, lamport=last.vertex.lamport + 1
    )
    with expect("own-previous"):
        books.on_effects(mesh[0], keep(false))


def test_books_follow_what_a_store_forgets(mesh: Mesh):
    books = open_books(mesh)
    host, own = mesh[0], mesh[0].identity.author
    first, note, last = [one for one in list_stored(host) if one.vertex.author == own]
    with expect("kept-above-horizon"):
        books.on_effects(host, [Persist(ForgetVertices((note.id,)))])
    books.horizons[0] = level(last.vertex.lamport)
    for signed, check in ((first, "kept-profiles"), (last, "kept-last")):
        with expect(check):
            books.on_effects(host, [Persist(ForgetVertices((signed.id,)))])
    books.on_effects(host, [Persist(ForgetVertices((note.id,)))])
    assert note.id not in books.stores[0]
    assert books.is_below(host, note.id)
    assert not books.is_below(host, bytes(32))
    assert not books.is_below(mesh[1], note.id)
    with expect("forgotten-once"):
        books.on_effects(host, [Persist(ForgetVertices((note.id,)))])


def test_books_know_what_was_said_again(mesh: Mesh):
    books = open_books(mesh)
    last = find_last(mesh[0])
    again = change(
        last, parents=(last.ref,), seq=last.vertex.seq + 1, lamport=last.vertex.lamport + 1
    )
    assert books.find_repeat(last.id) is None
    books.on_effects(mesh[0], keep(again))
    assert books.find_repeat(last.id) == again.id


def test_below_the_horizon_parents_count_as_present(mesh: Mesh):
    books = open_books(mesh)
    last = find_last(mesh[0])
    above = last.vertex.lamport + 1
    parents = (Ref(last.vertex.lamport, bytes(32)), Ref(above, last.id))
    odd = change(last, parents=parents, seq=9, lamport=above + 1)
    books.horizons[0] = level(above)
    books.on_effects(mesh[0], keep(odd))
    assert odd.id in books.stores[0]


# --- authorship ----------------------------------------------------------------------------------


def make_fork(host: Host) -> ForkSeen:
    return ForkSeen(host.identity.author, 0, 1, b"1", b"2")


def test_honest_authors_are_not_taken_for_forked(mesh: Mesh):
    with expect("accused"):
        Authorship(mesh).on_fact(mesh[0], make_fork(mesh[1]))
    Authorship(mesh[:1]).on_fact(mesh[0], make_fork(mesh[1]))


def test_who_knows_of_its_fork_says_nothing(mesh: Mesh):
    authorship = Authorship(mesh[1:])
    published = Published(1, find_last(mesh[0]))
    authorship.on_fact(mesh[0], published)
    authorship.on_fact(mesh[0], make_fork(mesh[0]))
    with expect("silent-when-forked"):
        authorship.on_fact(mesh[0], published)


def test_nobody_speaks_for_an_honest_author(mesh: Mesh):
    authorship = Authorship(mesh)
    last = find_last(mesh[0])
    with expect("forged"):
        authorship.on_effects(mesh[1], keep(last))
    authorship.on_effects(mesh[0], keep(last))
    authorship.on_effects(mesh[1], [*keep(last), Persist(StoreValue("key", b""))])
    Authorship(mesh[1:]).on_effects(mesh[1], keep(last))


def test_honest_authors_say_one_thing_in_a_slot(mesh: Mesh):
    authorship = Authorship(mesh)
    last = find_last(mesh[0])
    second = change(last, body=b"other")
    authorship.on_fact(mesh[0], Published(1, last))
    authorship.on_sent(mesh[0], 1, Push((last.wire, find_last(mesh[1]).wire)), 0)
    authorship.on_sent(mesh[0], 1, IHave((second.id,)), 0)
    with expect("one-per-slot"):
        authorship.on_sent(mesh[0], 1, Push((second.wire,)), 0)
    authorship = Authorship(mesh[1:])
    authorship.on_sent(mesh[0], 1, Push((last.wire, second.wire)), 0)


# --- durability ----------------------------------------------------------------------------------


def test_what_is_told_and_acknowledged_can_not_be_lost(mesh: Mesh):
    durability = Durability(mesh)
    last = find_last(mesh[0])
    durability.on_fact(mesh[0], VertexAdmitted(last, ""))
    durability.on_fact(mesh[0], Published(1, last))
    durability.on_fact(mesh[0], make_fork(mesh[1]))
    durability.on_started(mesh[0])
    lost = change(last, body=b"lost")
    with expect("durable"):
        durability.on_fact(mesh[0], Published(2, lost))
    durability.acknowledged[0][lost.id] = lost.vertex.lamport
    with expect("durable"):
        durability.on_started(mesh[0])
    durability.excuse(mesh[0])
    durability.on_started(mesh[0])
    durability.end_excuse(mesh[0])
    with expect("durable"):
        durability.on_started(mesh[0])


def test_what_is_named_to_others_can_not_be_lost(mesh: Mesh):
    durability = Durability(mesh[:2])
    held = find_last(mesh[0])
    lost = change(held, body=b"lost")
    count = mesh[0].view().vertices
    for number, signed in ((0, held), (1, lost)):
        digest = Digest(bytes(32), count + number, 9)
        for message in (
            Push((signed.wire,)),
            Items(1, (signed.wire,), (), 0, True),
            IHave((signed.id,)),
            Heads((signed.ref,), digest, False),
            digest,
            Pong(1, digest, 1),
        ):
            durability.on_sent(mesh[2], 0, message, 0)
            if signed is held:
                durability.on_sent(mesh[0], 1, message, 0)
            else:
                with expect("durable"):
                    durability.on_sent(mesh[0], 1, message, 0)


# --- fairness ------------------------------------------------------------------------------------


def test_honest_hosts_are_charged_with_no_more_than_silence(mesh: Mesh):
    fairness = Fairness(mesh[:2])
    one, other, liar = mesh[0], mesh[1].name, mesh[2]
    fairness.on_effects(one, [Penalise(other, Offence.SILENT, "", 0)])
    fairness.on_effects(one, [Penalise(liar.name, Offence.BAD_VERTEX, "", 9)])
    fairness.on_effects(liar, [Penalise(other, Offence.BAD_VERTEX, "", 9)])
    with expect("no-honest-ban"):
        fairness.on_effects(one, [Penalise(other, Offence.SILENT, "", 9)])
    with expect("no-honest-offence"):
        fairness.on_effects(one, [Penalise(other, Offence.BAD_VERTEX, "", 0)])


def test_who_is_banned_is_not_let_in(mesh: Mesh):
    fairness = Fairness(mesh[:2])
    host, liar = mesh[0], mesh[2]
    ready = PeerReady(liar.name, liar.identity.author, "")
    fairness.on_fact(host, ready)
    for until_ms in (host.read_clock_ms(), host.read_clock_ms() + 1):
        host.disk.append([StoreValue(BANS_KEY, msgspec.msgpack.encode({liar.name: until_ms}))])
        if until_ms <= host.read_clock_ms():
            fairness.on_fact(host, ready)
    fairness.on_fact(host, make_fork(liar))
    fairness.on_fact(liar, ready)
    with expect("ban-kept"):
        fairness.on_fact(host, ready)
    host.disk.append([StoreValue(BANS_KEY, b"")])
    host.disk.sync()


# --- bounds --------------------------------------------------------------------------------------


def test_messages_are_not_lost_track_of():
    world = World(1)
    mesh = world.add_mesh(2)
    bounds = Bounds(Books(mesh), 0)
    world.add_observer(bounds)
    world.run_for(100)
    world.network.counters.sent += 1
    with pytest.raises(SimulationFailed, match="conserved"):
        world.run_for(1_000)


def test_a_run_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVENTS_MAX", 5)
    world = World(1)
    world.add_observer(Bounds(Books(world.add_mesh(2)), 0))
    with pytest.raises(SimulationFailed, match="bounded-work"):
        world.run_for(1_000)


def make_view(mesh: Mesh, **changes: int) -> SimpleNamespace:
    counts = dict.fromkeys(
        ("quarantined", "quarantined_bytes", "held", "fetching", "unknown_authors"), 0
    )
    counts |= {"publications_queued": 0, "ready": 0, "vertices": mesh[0].view().vertices}
    return SimpleNamespace(**(counts | changes))


@pytest.mark.parametrize(
    ("what", "count_max"),
    [
        ("quarantined", 256),
        ("quarantined_bytes", 24_000_000),
        ("held", 256),
        ("fetching", 131_072),
        ("unknown_authors", 256),
        ("publications_queued", 1_024),
    ],
)
def test_nothing_grows_beyond_its_bound(mesh: Mesh, what: str, count_max: int):
    bounds = Bounds(open_books(mesh), 1)
    host = make_fake(
        identity=mesh[0].identity,
        settings=mesh[0].settings,
        pool=SimpleNamespace(flow=SimpleNamespace(balanced=True)),
    )
    host.summarise = lambda: make_view(mesh, **{what: count_max})
    bounds._look(host)
    host.summarise = lambda: make_view(mesh, **{what: count_max + 1})
    with expect("bounded"):
        bounds._look(host)


def test_littles_law_holds_in_every_host(mesh: Mesh):
    bounds = Bounds(open_books(mesh), 0)
    for _ in range(module.LOOK_EVERY):
        bounds.on_input(mesh[0], INPUT)
    host = make_fake(
        identity=mesh[0].identity,
        settings=mesh[0].settings,
        pool=SimpleNamespace(flow=SimpleNamespace(balanced=False)),
        summarise=lambda: make_view(mesh),
    )
    with expect("balanced"):
        bounds._look(host)


# --- proofs and agreement ------------------------------------------------------------------------


def test_a_fork_is_proved_by_true_evidence_only(mesh: Mesh):
    books = open_books(mesh)
    proofs = Proofs(books)
    proofs.on_started(mesh[0])
    first = find_last(mesh[1])
    second = change(first, body=b"other")
    view = SimpleNamespace(forks=(SimpleNamespace(author=mesh[1].identity.author),))
    host = make_fake(index=0, summarise=lambda: view, view=lambda: view, disk=mesh[0].disk)
    own = find_last(mesh[0])
    evidence = encode(make_evidence(*sorted((first, second), key=lambda one: one.id)))
    for body in (b"nothing", evidence):
        proofs.on_effects(host, keep(change(own, kind=Kind.EVIDENCE, body=body)))
        assert proofs.find_unproved(host) == [mesh[1].identity.author]
    books.vertices[second.id] = second
    assert proofs.find_unproved(host) == []
    carrier = change(own, kind=Kind.EVIDENCE, body=evidence)
    proofs.on_effects(host, [Persist(ForgetVertices((carrier.id,)))])
    assert proofs.find_unproved(host) == [mesh[1].identity.author]
    proofs.on_effects(host, keep(carrier))
    proofs.on_effects(host, [Persist(StoreValue("key", b"")), *keep(own)])
    assert proofs.find_unproved(host) == []


def test_equal_heads_mean_equal_stores(mesh: Mesh):
    books = open_books(mesh)
    agreement = Agreement(mesh, books)
    agreement.check()
    del books.stores[1][find_last(mesh[0]).id]
    with expect("heads-determine-stores"):
        agreement.on_input(mesh[0], INPUT)
    agreement.on_input(mesh[0], INPUT)  # not again before its time
    with expect("heads-determine-stores"):
        agreement.on_end(mesh[0].world)
    Agreement([mesh[0], mesh[2]], books).check()


def test_hosts_that_are_down_agree_with_nobody():
    world = World(2)
    mesh = world.add_mesh(2)
    books = open_books(mesh)
    mesh[0].crash()
    Agreement(mesh, books).check()
