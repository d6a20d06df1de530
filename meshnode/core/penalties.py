"""What an offence costs: a ban, the connection, or a strike."""

from __future__ import annotations

from typing import Final

from dag.errors import Offence

BANNED_AT_ONCE: Final = (
    Offence.MALFORMED,
    Offence.TOO_LARGE,
    Offence.BAD_SIGNATURE,
    Offence.BAD_VERTEX,
    Offence.BAD_PROOF,
)
"""Never an accident: who follows the protocol checks what it passes on."""
ENDED_AT_ONCE: Final = (
    Offence.WRONG_NETWORK,
    Offence.NOT_A_MEMBER,
    Offence.OUT_OF_TURN,
    Offence.BAD_STREAM,
    Offence.SILENT,
)
"""May be a mistake: the connection ends, the peer may come back."""
