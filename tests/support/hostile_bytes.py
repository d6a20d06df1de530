"""Bytes that no honest peer writes: noise, foreign values, and valid records that were damaged.

`any_bytes` feeds hypothesis, which shrinks what it finds; `Mutator` feeds campaigns, which want
many records fast and the same ones again for the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
from hypothesis import strategies as st

LENGTH_BOMBS = (
    b"\xc6\x7f\xff\xff\xff",  # 2 GiB of bytes
    b"\xdb\x7f\xff\xff\xff",  # 2 GiB of text
    b"\xdd\xff\xff\xff\xff",  # 4 billion elements
    b"\xdf\xff\xff\xff\xff",  # 4 billion pairs
    b"\x00\xff\xff\xff",  # a frame of 16 MiB
    b"\x91" * 3_000,  # deeper than any stack
    b'{"a":' * 3_000,
    b"[" * 3_000,
    b'"\\ud800"',  # half a surrogate pair
    b'"\xff"',
    b"1" * 5_000,
)
"""Short inputs that ask for much."""

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=70)
)
foreign_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Values that decode, but to something else than was expected."""


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A valid record with one to three pieces changed, cut, repeated or put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 64)))
        piece = draw(
            st.binary(max_size=8) | st.sampled_from(LENGTH_BOMBS) | st.just(data[start:end] * 2)
        )
        data = data[:start] + piece + draw(st.sampled_from((data[end:], data[start:], b"")))
    return data


def any_bytes(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Everything a decoder may meet, its own valid records included."""
    values = foreign_values.map(msgspec.msgpack.encode)
    return (
        st.binary(max_size=300)
        | values
        | st.sampled_from(LENGTH_BOMBS)
        | st.sampled_from(seeds)
        | damaged(seeds)
    )


class Mutator:
    """Damages records; the same seed damages them alike."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def noise(self, size_max: int) -> bytes:
        """Meaningless bytes."""
        return self._random.randbytes(self._random.randint(1, size_max))

    def flip(self, data: bytes) -> bytes:
        """One byte is another."""
        position = self._random.randrange(len(data))
        changed = data[position] ^ self._random.randint(1, 255)
        return data[:position] + bytes((changed,)) + data[position + 1 :]

    def truncate(self, data: bytes) -> bytes:
        """The end is missing."""
        return data[: self._random.randrange(len(data))]

    def splice(self, data: bytes) -> bytes:
        """A piece asks for more than there is."""
        position = self._random.randrange(len(data) + 1)
        return data[:position] + self._random.choice(LENGTH_BOMBS) + data[position:]

    def mutate(self, data: bytes) -> bytes:
        """Any of these; never the record itself."""
        while True:
            changed = self._random.choice((self.flip, self.truncate, self.splice))(data)
            if changed != data:
                return changed
