"""A genesis names its network, and only a sound one is read."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.genesis import (
    COMMITS_MAX,
    FOUNDERS_MAX,
    GRANTED_MAX,
    GRANTS_MAX,
    Grant,
    NewcomerLimits,
    Parameters,
    Validator,
    compute_network_id,
    decode_genesis,
    encode_genesis,
)
from tests.support.dag_builder import make_genesis, make_person

GENESIS = make_genesis([make_person(0), make_person(1)])


def change(**fields):
    return msgspec.structs.replace(GENESIS, **fields)


def test_genesis_round_trips_and_names_the_network():
    data = encode_genesis(GENESIS)
    assert decode_genesis(data) == GENESIS
    assert compute_network_id(GENESIS) != compute_network_id(change(nonce=b"1" * 16))


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2},
        {"name": ""},
        {"name": "n" * 65},
        {"nonce": b"short"},
        {"founders": ()},
        {"founders": GENESIS.founders[:1] * (FOUNDERS_MAX + 1)},
        {"committee": ()},
        {"committee": GENESIS.committee[:1] * (FOUNDERS_MAX + 1)},
        {"committee": (Validator(make_person(0).author, 0),)},
        {"committee": (Validator(make_person(0).author, 2**63),)},
        {"suite": "rot13"},
        {"newcomers": NewcomerLimits(1, 1, 1)},
        {"newcomers": NewcomerLimits(-1, 1, 1), "parameters": Parameters(open=True)},
        {"newcomers": NewcomerLimits(1, 1_000_001, 1), "parameters": Parameters(open=True)},
        {"parameters": Parameters(gc_commits=0)},
        {"parameters": Parameters(gc_commits=COMMITS_MAX + 1)},
        {"parameters": Parameters(checkpoint_commits=0)},
        {"parameters": Parameters(checkpoint_commits=COMMITS_MAX + 1)},
    ],
)
def test_genesis_is_refused_when_unsound(fields):
    with pytest.raises(MalformedMessage):
        decode_genesis(encode_genesis(change(**fields)))


@pytest.mark.parametrize(
    "grants",
    [
        (Grant(b"short", 1),),
        (Grant(bytes(32), 0),),
        (Grant(bytes(32), 1), Grant(bytes(32), 1)),
        (Grant(bytes(32), GRANTED_MAX), Grant(b"1" * 32, 1)),
        tuple(Grant(number.to_bytes(32, "big"), 1) for number in range(GRANTS_MAX + 1)),
    ],
)
def test_genesis_is_refused_when_it_grants_what_cannot_be(grants):
    with pytest.raises(MalformedMessage):
        decode_genesis(encode_genesis(change(grants=grants)))


def test_genesis_with_grants_is_another_network():
    rich = change(grants=(Grant(make_person(0).author, 5),))
    assert decode_genesis(encode_genesis(rich)) == rich
    assert compute_network_id(rich) != compute_network_id(GENESIS)


def test_genesis_without_grants_has_one_form_which_knows_no_grants():
    assert len(msgspec.msgpack.decode(encode_genesis(GENESIS))) == 9
    with pytest.raises(MalformedMessage):
        decode_genesis(encode(GENESIS))


@given(st.binary(max_size=200))
def test_any_bytes_give_typed_error(data):
    with pytest.raises(MalformedMessage):
        decode_genesis(data)


@pytest.mark.parametrize("grants", [(), (Grant(GENESIS.committee[0].author, 5),)])
def test_limits_for_newcomers_round_trip_and_name_another_network(grants):
    plain = change(parameters=Parameters(open=True), grants=grants)
    limited = msgspec.structs.replace(plain, newcomers=NewcomerLimits(0, 60, 24))
    assert decode_genesis(encode_genesis(limited)) == limited
    assert decode_genesis(encode_genesis(plain)) == plain
    assert compute_network_id(limited) != compute_network_id(plain)
