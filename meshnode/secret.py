"""Values that must never be shown: a masked holder, and the redaction of text that may quote one."""

from __future__ import annotations

import hmac
import re
from typing import Final, NoReturn

MASK: Final = "********"

_KEY_PATTERN: Final = re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_\-]{6,}|(?i:\bbearer\s+)\S{6,}")


class Secret:
    """A string that is masked wherever it is printed; `reveal` is the only way to its text.

    Equality takes the same time wherever two values differ. A secret can be neither pickled nor
    hashed: both would carry it, or a fingerprint of it, to where it does not belong.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (text.encode(errors="surrogatepass") for text in (self._text, other._text))
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return format(MASK, format_spec)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled; pass a reference to where it is kept")


def redact(text: str, *secrets: Secret) -> str:
    """`text` without the given secrets and without anything shaped like an API key."""
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), MASK)
    return _KEY_PATTERN.sub(MASK, text)
