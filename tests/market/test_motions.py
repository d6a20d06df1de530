"""Motions: two thirds of the stake, once, and not for ever."""

from __future__ import annotations

import pytest

from market import motions as module
from market.commands import MintMotion
from market.deadlines import MOTION, Deadlines
from market.errors import Code, Refused
from market.motions import MOTION_LIFE_MS, Motions, compute_motion_key
from market.tables import load_table

A, B, C, D = (bytes([number]) * 32 for number in range(4))
WEIGHTS = {A: 1, B: 1, C: 1}
MINT = MintMotion(D, 5, 0)


def move(motions: Motions, motion: MintMotion, member: bytes) -> bool:
    key = motions.check(motion, member, WEIGHTS)
    carried = motions.would_carry(key, member, WEIGHTS)
    motions.support(key, member, 0, carried=carried)
    return carried


def test_motion_is_carried_by_two_thirds_and_only_once():
    motions = Motions(Deadlines())
    assert not move(motions, MINT, A)
    assert move(motions, MINT, B)
    for member in (A, B, C):
        with pytest.raises(Refused) as caught:
            motions.check(MINT, member, WEIGHTS)
        assert caught.value.reason is Code.ALREADY_DONE


def test_member_counts_once_and_strangers_do_not():
    motions = Motions(Deadlines())
    move(motions, MINT, A)
    with pytest.raises(Refused) as caught:
        motions.check(MINT, A, WEIGHTS)
    assert caught.value.reason is Code.ALREADY_DONE
    with pytest.raises(Refused) as caught:
        motions.check(MINT, D, WEIGHTS)
    assert caught.value.reason is Code.NOT_IN_COMMITTEE


def test_support_of_who_left_the_committee_no_longer_weighs():
    motions = Motions(Deadlines())
    move(motions, MINT, A)
    key = compute_motion_key(MINT)
    assert not motions.would_carry(key, B, {B: 1, C: 1, D: 1})
    assert motions.would_carry(key, B, {A: 1, B: 1, D: 1})


def test_motion_lapses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "OPEN_PER_MEMBER_MAX", 2)
    deadlines = Deadlines()
    motions = Motions(deadlines)
    move(motions, MINT, A)
    move(motions, MintMotion(D, 5, 1), A)
    for each in (motions, Motions(deadlines, load_table(motions.rows.dump()))):
        with pytest.raises(Refused) as caught:
            each.check(MintMotion(D, 5, 2), A, WEIGHTS)
        assert caught.value.reason is Code.TOO_MANY
    subject = next(deadlines.take_due(MOTION_LIFE_MS))
    assert subject[:1] == MOTION
    motions.lapse(subject[1:])
    assert not move(motions, MintMotion(D, 5, 2), A)
    for _ in range(2):
        motions.lapse(next(key for key, _ in motions.rows.items()))
    assert len(motions.rows) == 0
