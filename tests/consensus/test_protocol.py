"""Profiles are safe and live by construction, for every stake."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.errors import InvalidProtocol
from consensus.protocol import Profile, ProfileName, Thresholds, make_profile


@pytest.mark.parametrize(
    ("stake", "quorum"), [(1, 1), (2, 2), (3, 3), (4, 3), (6, 5), (7, 5), (9, 7), (10, 7)]
)
def test_bft3_quorum_is_more_than_two_thirds(stake: int, quorum: int):
    limits = make_profile("bft3", stake).thresholds
    assert (limits.quorum, limits.certificate, limits.commit, limits.skip) == (quorum,) * 4
    assert (limits.wave, limits.link, limits.decision_delay) == (3, 1, 2)


@pytest.mark.parametrize(
    ("stake", "quorum", "link"), [(1, 1, 1), (5, 5, 5), (6, 5, 3), (10, 9, 7), (11, 9, 5)]
)
def test_bft5_links_by_all_but_three_times_the_faults(stake: int, quorum: int, link: int):
    limits = make_profile("bft5", stake).thresholds
    assert (limits.quorum, limits.commit, limits.skip, limits.link) == (*(quorum,) * 3, link)
    assert (limits.wave, limits.decision_delay) == (2, 1)


@pytest.mark.parametrize(("stake", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_cft_decides_by_majority_and_skips_by_all(stake: int, quorum: int):
    profile = make_profile("cft", stake)
    limits = profile.thresholds
    assert (limits.quorum, limits.commit, limits.skip, limits.link) == (quorum, quorum, stake, 1)
    assert (profile.byzantine, profile.faulty) == (0, (stake - 1) // 2)


@given(st.sampled_from(["bft3", "bft5", "cft"]), st.integers(1, 2**63))
def test_profiles_are_safe_and_live_for_any_stake(name: ProfileName, stake: int):
    assert make_profile(name, stake).total_stake == stake


@given(st.sampled_from(["bft3", "bft5"]), st.integers(1, 10**6))
def test_profiles_bear_no_more_than_they_say(name: ProfileName, stake: int):
    profile = make_profile(name, stake)
    with pytest.raises(InvalidProtocol):
        msgspec.structs.replace(
            profile, byzantine=profile.byzantine + 1, faulty=profile.faulty + 1
        ).__post_init__()


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("bft3", {"commit": 2}, "two commit quorums"),
        ("bft3", {"skip": 2}, "commit and skip"),
        ("bft3", {"link": 4}, "an anchor sees"),
        ("bft3", {"certificate": 2}, "two certificates"),
        ("bft3", {"quorum": 4}, "fill a quorum"),
        ("bft3", {"certificate": 4}, "fill a certificate"),
        ("bft3", {"commit": 4}, "fill a commit"),
        ("bft3", {"skip": 5}, "fills a skip"),
        ("bft3", {"link": 0}, "a link is stake"),
    ],
)
def test_profile_names_the_inequality_that_fails(name: ProfileName, change: dict[str, int], why):
    profile = make_profile(name, 4)
    with pytest.raises(InvalidProtocol, match=why):
        Profile(
            name, 4, 1, 1, msgspec.structs.replace(profile.thresholds, **change)
        ).__post_init__()


def test_two_round_profiles_cannot_link_what_was_skipped():
    limits = Thresholds(wave=2, quorum=6, certificate=6, commit=6, skip=3, link=3)
    with pytest.raises(InvalidProtocol, match="a skipped slot"):
        Profile("x", 6, 0, 0, limits)


def test_two_round_profiles_cannot_link_the_twin_of_what_was_committed():
    limits = Thresholds(wave=2, quorum=5, certificate=5, commit=5, skip=6, link=2)
    with pytest.raises(InvalidProtocol, match="the twin of a committed block"):
        Profile("x", 6, 1, 1, limits)


def test_stake_and_wave_have_bounds():
    with pytest.raises(InvalidProtocol, match="at least 1"):
        make_profile("bft3", 0)
    with pytest.raises(InvalidProtocol, match="no profile"):
        make_profile("raft", 1)  # type: ignore[arg-type]
    with pytest.raises(InvalidProtocol, match="2 or 3"):
        Thresholds(wave=4, quorum=1, certificate=1, commit=1, skip=1, link=1)
