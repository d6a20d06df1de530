"""Two sides that both have news compare ranges; what that does not show, the walk finds."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dag.errors import Offence
from dag.ranges import END, START, cut_ref
from dag.types import Ref
from meshnode.core.effects import SendStored
from meshnode.core.messages import Digest, Get, Heads, Items, Push, Range, Ranges, encode_message
from meshnode.core.reconciliation import PATIENCE_MS, WALK_AT_ONCE_MAX
from tests.support.core_net import CoreNet
from tests.support.dag_builder import DagBuilder
from tests.support.lone_core import LoneCore

UNKNOWN = Ref(30, bytes([9]) * 32)
FULL = Digest(bytes(32), 1_000, 40)


def publish(net: CoreNet, host, count: int) -> None:
    for number in range(count):
        host.publish(b"%d" % number)
        net.run(10)


def make_parted(common: int, ours: int, theirs: int, *, drop=None) -> CoreNet:
    """Two peers that were equal, and have each gone on alone."""
    net = CoreNet(2)
    net.start()
    net.run(1_000)
    for host in net.hosts:
        publish(net, host, common)
    net.run(3_000)
    assert net.converged
    net.cut(net.hosts[:1], net.hosts[1:])
    publish(net, net.hosts[0], ours)
    publish(net, net.hosts[1], theirs)
    net.drop = drop
    net.heal()
    return net


def total(net: CoreNet, kind: type) -> int:
    return sum(host.sent.get(kind.__name__, 0) for host in net.hosts)


def test_news_on_both_sides_are_exchanged_once():
    net = make_parted(50, 200, 300)
    held = [dict(host.journal) for host in net.hosts]
    before = sum(host.sent_bytes for host in net.hosts)
    net.run_until(lambda: net.converged, 30_000)
    assert 2 <= total(net, Ranges) <= 6
    assert total(net, Get) <= 6
    news = [
        len(signed.wire)
        for host, old in zip(net.hosts, held, strict=True)
        for vertex_id, signed in host.journal.items()
        if vertex_id not in old
    ]
    assert len(news) == 500
    spent = sum(host.sent_bytes for host in net.hosts) - before
    assert spent < sum(news) + 50_000
    assert not any(host.core.view().offences for host in net.hosts)


def test_one_side_with_news_needs_no_ranges():
    net = make_parted(50, 0, 300)
    net.run_until(lambda: net.converged, 30_000)
    assert total(net, Ranges) == 0
    assert total(net, Get) == 0


@settings(max_examples=8, deadline=None)
@given(
    common=st.integers(0, 40),
    ours=st.integers(1, 90),
    theirs=st.integers(1, 90),
    seed=st.integers(0, 100),
)
def test_random_pairs_of_stores_become_equal(common, ours, theirs, seed):
    chance = random.Random(seed)

    def lose(_source, _target, message):
        return isinstance(message, Push | Items) and chance.random() < 0.2

    net = make_parted(common, ours, theirs, drop=lose)
    net.run(20_000)
    net.drop = None
    net.run_until(lambda: net.meshed, 60_000)
    net.run_until(lambda: net.converged, 60_000)
    assert net.hosts[0].core.view().vertices == 2 + 2 * common + ours + theirs


def test_what_one_peer_names_and_does_not_send_is_fetched_from_another():
    net = CoreNet(3)
    net.start()
    net.run(1_000)
    for host in net.hosts:
        publish(net, host, 30)
    net.run(3_000)
    assert net.converged
    late, silent, other = net.hosts
    net.cut([late], [silent, other])
    publish(net, silent, 40)
    publish(net, late, 40)
    net.drop = lambda source, target, message: (
        (source, target) == (silent.name, late.name) and isinstance(message, Items | Push)
    )
    net.heal()
    net.run_until(lambda: net.meshed, 30_000)
    net.run_until(lambda: net.converged, 20_000)


def test_without_answers_to_ranges_the_walk_finds_everything():
    net = make_parted(30, 40, 50, drop=lambda _s, _t, message: isinstance(message, Ranges))
    net.run_until(lambda: net.converged, 60_000)
    assert total(net, Ranges) >= 1


def test_fingerprints_that_lie_are_found_out_by_the_walk(monkeypatch):
    fingerprint = "dag.ranges.RangeIndex.compute_fingerprint"
    monkeypatch.setattr(fingerprint, lambda *_: bytes(16))
    net = make_parted(30, 40, 50)
    net.run_until(lambda: net.converged, 60_000)
    assert total(net, Get) > 6


# --- one core, message by message ---------------------------------------------------------------


def make_lone(count: int = 80) -> tuple[DagBuilder, LoneCore, str]:
    """A core that holds a chain, ready with a peer whose store is unequal."""
    builder = DagBuilder(authors=2).profiles()
    for _ in range(count):
        builder.vertex(1)
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.receive(peer, lone.vertices(*builder.vertices[1:]))
    return builder, lone, peer


def start(lone: LoneCore, peer: str, *heads: Ref) -> list[Ranges]:
    """Answer the HEADS that unequal digests led to; answers the RANGES asked then."""
    asked = lone.sent(lone.receive(peer, FULL), Heads)
    if not asked:
        lone.tick(PATIENCE_MS)
    reply = Heads(heads or (UNKNOWN,), FULL, reply=False, lacks=True)
    return lone.sent(lone.receive(peer, reply), Ranges)


def test_question_is_answered_from_the_store():
    builder, lone, peer = make_lone()
    question = Ranges(4, False, START, (Range(END, bytes(16)),))
    (answer,) = lone.sent(lone.receive(peer, question), Ranges)
    assert answer.session == 4
    assert answer.answer
    assert len(answer.ranges) == -(-(len(builder.vertices) + 0) // 16)


def test_reply_says_whether_anything_is_lacking():
    builder, lone, peer = make_lone()
    known = Heads((builder.vertices[-1].ref,), FULL, reply=True)
    (reply,) = lone.sent(lone.receive(peer, known), Heads)
    assert (reply.reply, reply.lacks) == (False, False)
    unknown = Heads((UNKNOWN,), FULL, reply=True)
    effects = lone.receive(peer, unknown)
    (reply,) = lone.sent(effects, Heads)
    assert (reply.reply, reply.lacks) == (False, True)
    assert not lone.sent(effects, Ranges)
    assert not [effect for effect in effects if isinstance(effect, SendStored)]


def test_peer_that_lacks_nothing_is_not_asked_for_ranges():
    _, lone, peer = make_lone()
    assert lone.sent(lone.receive(peer, FULL), Heads)
    effects = lone.receive(peer, Heads((UNKNOWN,), FULL, reply=False, lacks=False))
    assert not lone.sent(effects, Ranges)
    assert not lone.sent(effects, Get)


def test_small_stores_without_common_vertex_are_fetched_at_once():
    builder = DagBuilder(authors=2)
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    small = Digest(bytes(32), WALK_AT_ONCE_MAX, 40)
    effects = lone.receive(peer, Heads((UNKNOWN,), small, reply=False, lacks=True))
    assert lone.sent(effects, Get)[-1].ids == (UNKNOWN.id,)
    assert not lone.sent(effects, Ranges)


def test_where_ranges_may_not_be_compared_the_known_part_places_what_is_sent():
    builder, lone, peer = make_lone()
    assert start(lone, peer)
    lone.tick(1_500)
    common = builder.vertices[40].ref
    reply = Heads(tuple(sorted([common, UNKNOWN])), FULL, reply=False, lacks=True)
    effects = lone.receive(peer, reply)
    assert not lone.sent(effects, Ranges)
    (sent,) = [effect for effect in effects if isinstance(effect, SendStored)]
    assert common.id not in sent.ids
    assert builder.vertices[-1].id in sent.ids
    assert [get.ids for get in lone.sent(effects, Get)] == [(UNKNOWN.id,)]


def test_heads_that_nobody_asked_for_may_begin_a_session():
    _, lone, peer = make_lone()
    effects = lone.receive(peer, Heads((UNKNOWN,), FULL, reply=False, lacks=True))
    assert len(lone.sent(effects, Ranges)) == 1


def test_answer_of_a_peer_that_is_not_asked_for_heads_extends_nothing():
    _, lone, peer = make_lone()
    (question,) = start(lone, peer)
    lone.disconnect(peer)
    again = lone.greet(transport=peer + "x")
    assert not lone.sent(lone.receive(again, Ranges(question.session, True, b"", ())), Ranges)


def test_names_of_nothing_are_struck_and_the_peer_waits_a_minute():
    _, lone, peer = make_lone()
    spent = 0
    sessions = 0
    for _ in range(20):
        for question in start(lone, peer):
            sessions += 1
            spent += len(encode_message(question))
            lower, items = question.lower, []
            for item in question.ranges:
                named = cut_ref(Ref(max(1, int.from_bytes(lower[:8], "big")), bytes([7]) * 32))
                fits = lower <= named < item.upper
                items.append(Range(item.upper, named if fits else None))
                lower = item.upper
            answer = Ranges(question.session, True, question.lower, tuple(items))
            gets = lone.sent(lone.receive(peer, answer), Get)
            assert gets
            spent += sum(len(encode_message(get)) for get in gets)
            for get in gets:
                lone.receive(peer, lone.vertices(request=get.request, missing=get.ids))
    assert sessions == 1
    assert spent < 2_000
    assert lone.node.view().offences[Offence.NOT_SERVED] >= 4
