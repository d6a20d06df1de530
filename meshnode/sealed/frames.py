"""The frames of a sealed stream: XChaCha20-Poly1305 under one key per direction.

The nonce is the frame's number, so a frame opens in its own place only: one that was changed, left
out, repeated or moved does not open. The last frame says that it is the last, so that a stream which
was cut short shows it.

What is encrypted is the content, a byte that says whether more follows, and zeros. They fill it up
to one of few sizes: a chunk of an answer is a word or two, and sizes to the byte would tell which.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from dag.errors import MalformedMessage

TAG_BYTES: Final = sodium.crypto_aead_xchacha20poly1305_ietf_ABYTES
NONCE_BYTES: Final = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
BOX_BYTES_MAX: Final = 59_990
"""With its tag and length a box fits a frame of the transport."""
CONTENT_BYTES_MAX: Final = BOX_BYTES_MAX - TAG_BYTES - 1
STEP_BYTES: Final = 256
"""Small frames have a multiple of this; most chunks of an answer fit the first."""
FRAMES_MAX: Final = 2**48

_MORE: Final = b"\x01"
_LAST: Final = b"\x02"


class Box(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=15):
    """A sealed frame, of either side."""

    box: Annotated[bytes, msgspec.Meta(min_length=TAG_BYTES + 1, max_length=BOX_BYTES_MAX)]


class Opened(NamedTuple):
    """What a box holds."""

    content: bytes
    last: bool


class Sealer:
    """Seals one direction of a stream."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._count = 0

    def seal(self, content: bytes, *, last: bool = False) -> Box:
        """The next frame."""
        assert len(content) <= CONTENT_BYTES_MAX, "frames are split before they are sealed"
        assert self._count < FRAMES_MAX, "a stream has fewer frames"
        marked = content + (_LAST if last else _MORE)
        plain = marked.ljust(compute_padded_bytes(len(marked)), b"\x00")
        nonce = self._count.to_bytes(NONCE_BYTES, "big")
        self._count += 1
        return Box(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, None, nonce, self._key))


class Opener:
    """Opens one direction of a stream."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._count = 0
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the last frame has come."""
        return self._ended

    def open(self, box: Box) -> Opened:
        """What the next frame holds. Raises `MalformedMessage` for one that is not the next."""
        if self._ended:
            raise MalformedMessage("a sealed frame came after the last one")
        nonce = self._count.to_bytes(NONCE_BYTES, "big")
        try:
            plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                box.box, None, nonce, self._key
            )
        except CryptoError:
            # Which of all it is cannot be told apart, and must not.
            raise MalformedMessage(
                f"sealed frame {self._count} does not open: it was changed, moved, repeated, or "
                "sealed with another key"
            ) from None
        marked = plain.rstrip(b"\x00")
        if marked[-1:] not in (_MORE, _LAST):
            raise MalformedMessage("a sealed frame does not say whether more follow")
        self._count += 1
        self._ended = marked.endswith(_LAST)
        return Opened(marked[:-1], self._ended)


def compute_padded_bytes(size: int) -> int:
    """To which size a plaintext is filled up.

    A multiple of 256 bytes, and where it is large one of few, so that at most an eighth is added.
    """
    bits = size.bit_length() - 1
    step = max(STEP_BYTES, 1 << max(0, bits - 3))
    return min(-(-size // step) * step, BOX_BYTES_MAX - TAG_BYTES)
