"""What offences cost."""

from __future__ import annotations

from dag.errors import Offence
from meshnode.core.penalties import BANNED_AT_ONCE, ENDED_AT_ONCE


def test_no_offence_costs_two_things_and_lies_cost_a_ban():
    assert not [offence for offence in BANNED_AT_ONCE if offence in ENDED_AT_ONCE]
    assert Offence.BAD_SIGNATURE in BANNED_AT_ONCE
    assert Offence.NOT_A_MEMBER in ENDED_AT_ONCE


def test_what_the_network_can_make_an_honest_peer_look_like_is_no_ban():
    for offence in (Offence.SILENT, Offence.NOT_SERVED, Offence.FLOOD):
        assert offence not in BANNED_AT_ONCE
