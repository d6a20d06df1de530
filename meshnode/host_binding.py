"""Binds a home folder to its place, so that a copied folder cannot run twice as one author.

Two processes that sign with one key fork its chain, which others see as a lie. So the first start
writes down a digest of the machine's identity and of the folder's inode, and a start elsewhere is
refused, be it on another machine or from a copy on this one. Where a machine has no
`/etc/machine-id` (many containers), its host name stands in.
"""

from __future__ import annotations

import hashlib
import hmac
import platform
from pathlib import Path
from typing import Final

from meshnode.errors import Unavailable
from meshnode.private_files import read_private, write_private

BINDING_NAME: Final = "host"
_DOMAIN: Final = b"meshnode/host/1\x00"
_MACHINE_ID: Final = Path("/etc/machine-id")


def read_machine_digest(machine_id: Path = _MACHINE_ID) -> str:
    """A digest that names this machine without telling its id."""
    try:
        text = machine_id.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    source = f"id:{text}" if text else f"name:{platform.node()}"
    return hashlib.sha256(_DOMAIN + source.encode()).hexdigest()


def _describe_place(folder: Path, machine: str) -> bytes:
    """The binding of a folder: a copy has another inode, a renamed folder keeps its own."""
    source = f"{machine}:{folder.stat().st_ino}"
    return hashlib.sha256(_DOMAIN + source.encode()).hexdigest().encode()


def check_host(folder: Path, machine: str) -> None:
    """Bind a fresh folder to this place; refuse one that is bound to another.

    Raises `Unavailable` with both ways out.
    """
    path = folder / BINDING_NAME
    bound = read_private(path, bytes_max=256)
    if bound is None:
        bind_host(folder, machine)
    elif not hmac.compare_digest(bound.strip(), _describe_place(folder, machine)):
        raise Unavailable(
            f"home folder {folder} is a copy, and one identity may run only once",
            hint="`meshnode identity new` makes a new identity here; if the original never runs "
            "again: `meshnode identity rebind`",
        )


def bind_host(folder: Path, machine: str) -> None:
    """Say that the folder lives here from now on."""
    write_private(folder / BINDING_NAME, _describe_place(folder, machine) + b"\n")
