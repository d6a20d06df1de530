"""A frame opens in its place only; a stream that was cut short shows it; sizes tell little."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from dag.errors import MalformedMessage
from meshnode.sealed.frames import (
    BOX_BYTES_MAX,
    CONTENT_BYTES_MAX,
    STEP_BYTES,
    TAG_BYTES,
    Box,
    Opener,
    Sealer,
    compute_padded_bytes,
)
from meshnode.serving.protocol import PART_BYTES_MAX, Part, encode_frame
from meshnode.transport.base import FRAME_BYTES_MAX

KEY = bytes(range(32))
CONTENTS = (b"", b"one", b"two\x00\x00", bytes(300))


def seal_all(contents=CONTENTS, key=KEY):
    sealer = Sealer(key)
    last = len(contents) - 1
    return [sealer.seal(each, last=index == last) for index, each in enumerate(contents)]


def test_frames_come_back_as_they_were_and_end():
    opener = Opener(KEY)
    assert [tuple(opener.open(box)) for box in seal_all()] == [
        (content, index == 3) for index, content in enumerate(CONTENTS)
    ]
    assert opener.ended
    with pytest.raises(MalformedMessage, match="after the last"):
        opener.open(Sealer(KEY).seal(b"more"))


@pytest.mark.parametrize(
    "order",
    [[1], [0, 2], [0, 0], [0, 1, 0], [0, 1, 3]],
    ids=lambda order: "-".join(map(str, order)),
)
def test_frame_out_of_its_place_does_not_open(order):
    boxes, opener = seal_all(), Opener(KEY)
    for place in order[:-1]:
        opener.open(boxes[place])
    with pytest.raises(MalformedMessage, match="does not open"):
        opener.open(boxes[order[-1]])
    assert not opener.ended


@given(st.integers(min_value=0, max_value=(STEP_BYTES + TAG_BYTES) * 8 - 1))
def test_no_bit_can_be_flipped(bit):
    (box,) = seal_all((b"one",))
    data = bytearray(box.box)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MalformedMessage, match="does not open"):
        Opener(KEY).open(Box(bytes(data)))


def test_other_keys_and_cut_frames_do_not_open():
    (box,) = seal_all((b"one",))
    for key, data in ((bytes(32), box.box), (KEY, box.box[:-1]), (KEY, box.box[: TAG_BYTES + 1])):
        with pytest.raises(MalformedMessage, match="does not open"):
            Opener(key).open(Box(data))


@pytest.mark.parametrize("plain", [bytes(64), b"text\x03", b"\x00"])
def test_frame_that_does_not_say_whether_more_follow_is_malformed(plain):
    sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, None, bytes(24), KEY)
    with pytest.raises(MalformedMessage, match="whether more follow"):
        Opener(KEY).open(Box(sealed))


@given(st.integers(min_value=0, max_value=CONTENT_BYTES_MAX))
def test_sizes_are_few_and_fit(size):
    padded = compute_padded_bytes(size + 1)
    assert size + 1 <= padded <= BOX_BYTES_MAX - TAG_BYTES
    assert padded <= max(STEP_BYTES, (size + 1) * 9 // 8 + STEP_BYTES)
    assert padded % STEP_BYTES == 0 or padded == BOX_BYTES_MAX - TAG_BYTES
    assert compute_padded_bytes(padded) == padded


def test_all_sizes_of_small_frames_are_one_and_of_all_frames_few():
    assert {compute_padded_bytes(size) for size in range(1, 257)} == {256}
    assert len({compute_padded_bytes(size) for size in range(1, CONTENT_BYTES_MAX)}) < 50


@pytest.mark.parametrize("size", [0, 1, PART_BYTES_MAX])
def test_box_of_any_part_fits_a_frame_of_the_transport(size):
    content = encode_frame(Part(bytes(max(1, size)), last=True))
    frame = encode_frame(Sealer(KEY).seal(content))
    assert len(frame) <= FRAME_BYTES_MAX
    largest = encode_frame(Sealer(KEY).seal(bytes(CONTENT_BYTES_MAX)))
    assert len(largest) <= FRAME_BYTES_MAX
    with pytest.raises(AssertionError, match="split"):
        Sealer(KEY).seal(bytes(CONTENT_BYTES_MAX + 1))


def test_another_library_opens_the_same_bytes():
    """XChaCha20-Poly1305 is ChaCha20-Poly1305 under a key that HChaCha20 makes of 16 bytes of nonce.

    HChaCha20 is taken from the block function of ChaCha20, by what it adds at the end.
    """
    sealer = Sealer(KEY)
    sealer.seal(b"before")
    box = sealer.seal(b"content").box
    nonce = (1).to_bytes(24, "big")
    plain = ChaCha20Poly1305(hchacha20(KEY, nonce[:16])).decrypt(bytes(4) + nonce[16:], box, None)
    assert plain == b"content\x01".ljust(256, b"\x00")


def hchacha20(key, nonce):
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    block = Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor().update(bytes(64))
    words = [int.from_bytes(block[at : at + 4], "little") for at in range(0, 64, 4)]
    start = [
        *(int.from_bytes(b"expand 32-byte k"[at : at + 4], "little") for at in range(0, 16, 4)),
        *(int.from_bytes((key + nonce)[at : at + 4], "little") for at in range(0, 48, 4)),
    ]
    mixed = [(word - first) % 2**32 for word, first in zip(words, start, strict=True)]
    return b"".join(word.to_bytes(4, "little") for word in mixed[:4] + mixed[12:])
