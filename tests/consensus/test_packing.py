"""Sets as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.packing import pack_bits, pack_ids, unpack_bits, unpack_ids
from dag.errors import MalformedMessage


@given(st.lists(st.binary(min_size=32, max_size=32), unique=True))
def test_ids_have_one_form_whatever_their_order(ids: list[bytes]):
    data = pack_ids(ids)
    assert data == pack_ids(reversed(ids))
    assert unpack_ids(data) == sorted(ids)


def test_half_an_id_is_refused():
    with pytest.raises(MalformedMessage, match="33 bytes"):
        unpack_ids(bytes(33))


@given(st.integers(0, 2**130))
def test_bits_survive_in_the_fewest_bytes(bits: int):
    data = pack_bits(bits)
    assert unpack_bits(data) == bits
    assert not data.startswith(b"\x00")
