"""Every text that commands carry, so that whoever sends some can look at all of it first.

The state machine refuses texts that look like credentials, but by then every peer has read them. So
a node looks before it says anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

import msgspec

from market.attestation import check_text, holds_key
from market.commands import Command, ListMotion
from market.errors import Code, Refused


def check_texts(commands: Iterable[Command]) -> None:
    """Raises `Refused` for a command that nodes would refuse for a text in it."""
    for command in commands:
        for text in list_texts(command):
            if not isinstance(command, ListMotion):
                check_text(text)
            elif holds_key(text):
                raise Refused(Code.CREDENTIAL, "a name looks like a credential")


def list_texts(value: Any) -> Iterator[str]:
    """The texts of a record and of the records in it; names of choices are none."""
    if isinstance(value, str) and not isinstance(value, Enum):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from list_texts(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from list_texts(getattr(value, name))
