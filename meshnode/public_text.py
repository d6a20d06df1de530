"""What a node says for everybody to read: it never says what has the form of a key.

A vertex cannot be taken back, so this is looked at before it is signed. Who means no key, and is
understood so, writes it in other words.
"""

from __future__ import annotations

from market.attestation import holds_key
from meshnode.errors import CommandRejected


def check_public_text(what: str, *texts: str) -> None:
    """Raises `CommandRejected` for a text with a key in it; the text stays out of the error."""
    if any(holds_key(text) for text in texts):
        raise CommandRejected(
            f"{what} looks like it holds a key",
            hint="every member keeps what is said here for good: leave the key out",
        )
