"""Who is charged for what is wrong about a parent, when, and who is not."""

from __future__ import annotations

from dag.errors import InvalidVertex
from dag.types import LANE_SPEECH, Horizon
from meshnode.core.suspicion import EXCUSED_MAX, WORD_MS, Suspicion
from tests.support.horizons import level


def make_error(lamport: int) -> InvalidVertex:
    return InvalidVertex("parent-lamport", "it is false", (lamport, LANE_SPEECH))


def test_a_peer_is_charged_when_it_had_time_to_tell_of_its_floor():
    suspicion = Suspicion()
    error = make_error(5)
    suspicion.add(1_000, error)
    assert suspicion.due_ms == 1_000 + WORD_MS
    assert suspicion.take_due(suspicion.due_ms - 1) is None
    assert suspicion.take_due(suspicion.due_ms) is error
    assert suspicion.due_ms is None
    assert suspicion.take_due(10_000) is None


def test_a_peer_is_excused_whose_floor_is_as_high():
    told = Suspicion(floor=level(5))
    told.add(0, make_error(5))
    assert told.due_ms is None
    late = Suspicion()
    late.add(0, make_error(5))
    late.floor = Horizon(speech=5)
    assert late.take_due(WORD_MS) is None
    assert late.due_ms is None


def test_of_several_the_highest_is_charged_at_the_time_of_the_first():
    suspicion = Suspicion()
    worst = make_error(9)
    for number, error in enumerate((make_error(5), worst, make_error(7))):
        suspicion.add(number, error)
    suspicion.floor = Horizon(speech=8, blocks=99)
    assert suspicion.take_due(WORD_MS) is worst


def test_what_is_borne_on_one_connection_is_bounded():
    suspicion = Suspicion(floor=level(5))
    for _ in range(EXCUSED_MAX):
        suspicion.add(0, make_error(5))
    assert not suspicion.is_beyond_bearing
    suspicion.add(0, make_error(5))
    assert suspicion.is_beyond_bearing
