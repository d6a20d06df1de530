"""Committees that change by vote while the fuzzer has its way, and what would be found there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from meshnode.core.events import EpochBegan
from simulations.errors import CheckFailed
from simulations.fuzzing import council as councils
from simulations.fuzzing.council import LIARS_BORNE, Council
from simulations.fuzzing.run import Run, run
from simulations.fuzzing.spec import draw_spec
from simulations.streams import Streams
from simulations.world import World

SEED = 9
"""Five hosts that change their committee."""


def make_council(honest: int, liars: int) -> Council:
    """Nobody runs; authors are named by a byte."""
    hosts: list[Any] = [
        SimpleNamespace(index=number, identity=SimpleNamespace(author=bytes([number]), name="one"))
        for number in range(honest)
    ]
    seats = [bytes([number]) for number in range(honest + liars)]
    return Council(World(1), hosts, seats)


def test_committee_changes_under_faults_and_is_the_same_for_all():
    result = run(draw_spec(SEED, order=True))
    assert result.is_clean, result.message
    assert result.epochs > 0


def test_no_committee_changes_where_no_order_is_asked_for():
    spec = msgspec.structs.replace(draw_spec(SEED), safety_ms=1_500, publications=8, faults=())
    assert run(spec).epochs == 0


@pytest.mark.parametrize(("honest", "liars"), [(1, 0), (4, 0), (5, 1), (7, 2)])
def test_drawn_changes_never_let_too_many_lie(honest: int, liars: int):
    for seed in range(60):
        council = make_council(honest, liars)
        stream = Streams(seed).get("council")
        for _ in range(5):
            council._draw(stream)
        lowest = sum(min(council._stakes.get(bytes([number]), [0])) for number in range(honest))
        highest = sum(max(council._stakes[bytes([honest + number])]) for number in range(liars))
        assert lowest > 0
        assert "cft" not in council._profiles or not liars
        for name in council._profiles:
            assert name == "cft" or LIARS_BORNE[name] * highest < lowest + highest


def test_epoch_that_begins_elsewhere_is_found():
    council = make_council(2, 1)
    one, other = council._honest
    liar: Any = SimpleNamespace(identity=SimpleNamespace(author=b"\x02", name="liar"))
    council.on_fact(one, EpochBegan(1, 7))
    council.on_fact(liar, EpochBegan(1, 8))
    council.on_fact(other, EpochBegan(1, 7))
    assert council.epochs == 1
    with pytest.raises(CheckFailed, match="epoch 1 begins elsewhere"):
        council.on_fact(one, EpochBegan(1, 9))


def test_other_committee_at_the_end_is_found(monkeypatch: pytest.MonkeyPatch):
    council = make_council(2, 0)
    monkeypatch.setattr(councils, "_describe", lambda _host: (1, "bft3", []))
    council.check_end()
    monkeypatch.setattr(councils, "_describe", lambda host: (host.index, "bft3", []))
    with pytest.raises(CheckFailed, match="has another"):
        council.check_end()


def test_first_committee_leaves_few_enough_liars_in_it():
    for seed in range(40):
        runner = Run(draw_spec(seed, order=True))
        seats = runner.mesh[0].settings.genesis.committee
        honest = {host.identity.author for host in runner.honest}
        lying = sum(seat.author not in honest for seat in seats)
        assert not runner.is_ordered or 3 * lying < len(seats)
