"""One byte form per value: encode, and decode strictly.

MessagePack as msgspec writes it (shortest forms, records as arrays) is the canonical form.
msgspec's decoder alone is not strict enough: it accepts integers in longer forms. So decoding
re-encodes what it read and compares. Digests are always taken over the received bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

import msgspec

from dag.errors import MalformedMessage, MessageTooLarge

T = TypeVar("T")

encode: Final[Callable[[object], bytes]] = msgspec.msgpack.Encoder().encode
"""Write the canonical bytes of a record. It is the encoder's own method: all digests call it."""


class CanonicalDecoder(Generic[T]):
    """Reads one type of record and accepts only its canonical form."""

    def __init__(
        self,
        record: type[T],
        *,
        what: str,
        bytes_max: int,
        write: Callable[[T], bytes] = encode,
    ) -> None:
        """`write` is for records whose canonical form is not simply that of their fields."""
        self._write = write
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(record, strict=True)
        self._what = what
        self._bytes_max = bytes_max

    def decode(self, data: bytes) -> T:
        """Read a record. Raises `MalformedMessage` or `MessageTooLarge`."""
        if len(data) > self._bytes_max:
            raise MessageTooLarge(self._what, len(data), self._bytes_max)
        try:
            value = self._decoder.decode(data)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise MalformedMessage(f"{self._what} does not decode: {error}") from None
        if self._write(value) != data:
            raise MalformedMessage(f"{self._what} is not in canonical form")
        return value


class SizedDecoder(Generic[T]):
    """Reads a record of one of two forms: the longer one has further fields at its end.

    So a form that is frozen can grow: who does not know the longer one refuses it as a whole.
    """

    def __init__(self, short: type[T], long: type[T], *, what: str, bytes_max: int) -> None:
        self._short = CanonicalDecoder(short, what=what, bytes_max=bytes_max)
        self._long = CanonicalDecoder(long, what=what, bytes_max=bytes_max)
        self._long_start = _make_array_start(long)

    def decode(self, data: bytes) -> T:
        """Read a record. Raises `MalformedMessage` or `MessageTooLarge`."""
        is_long = data.startswith(self._long_start)
        return (self._long if is_long else self._short).decode(data)


def _make_array_start(record: type) -> bytes:
    """The bytes that an array with as many elements as a record has fields begins with."""
    count = len(msgspec.structs.fields(record))
    assert count < 16, "longer arrays begin otherwise"
    return bytes([0x90 | count])


def compute_digest(domain: bytes, data: bytes) -> bytes:
    """SHA-256 over a domain tag, a zero byte and the data: 32 bytes."""
    return hashlib.sha256(domain + b"\x00" + data).digest()


def compute_digests(domain: bytes, contents: Iterable[bytes]) -> list[bytes]:
    """The same of many, for less."""
    prefix, sha256 = domain + b"\x00", hashlib.sha256
    return [sha256(prefix + data).digest() for data in contents]
