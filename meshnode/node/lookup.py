"""Finding what people name by the beginning of an id, or by a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dag.types import ID_BYTES
from dag.vertex import SignedVertex, decode_signed
from meshnode.errors import CommandRejected
from meshnode.node.presenting import name_author

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.shell.runtime import Runtime

MATCHES_MAX: Final = 64
NAMES_LISTED_MAX: Final = 16


class Lookup:
    """Members and vertices of a running node."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def list_names(self) -> dict[bytes, str]:
        """The name of every member, by author id; empty where it has none."""
        return {member.id: member.name for member in self._runtime.view().members}

    def find_author(self, text: str) -> bytes:
        """The one member with this name, or whose id begins so. Raises `CommandRejected`."""
        names = self.list_names()
        found = [
            author
            for author, name in names.items()
            if text and (name == text or author.hex().startswith(text.lower()))
        ]
        if len(found) == 1:
            return found[0]
        known = ", ".join(name_author(author, names) for author in list(names)[:NAMES_LISTED_MAX])
        problem = f"'{text}' means {len(found)} members" if found else f"no member is '{text}'"
        raise CommandRejected(problem, hint=f"members: {known}")

    async def find_vertex(self, text: str) -> SignedVertex:
        """The one stored vertex whose id begins so. Raises `CommandRejected`."""
        prefix = text.lower()
        if not prefix or len(prefix) > 2 * ID_BYTES or prefix.strip("0123456789abcdef"):
            raise CommandRejected(
                f"'{text[:80]}' is no vertex id", hint="give the first hex digits of one"
            )
        found = [
            vertex_id
            for start in list_byte_prefixes(prefix)
            for vertex_id in await self._runtime.find(start, limit=MATCHES_MAX)
        ]
        if not found:
            pruned_lamport = self._runtime.view().consensus.pruned.speech
            raise CommandRejected(
                f"no vertices begin with '{prefix}'", hint=hint_at_stored(pruned_lamport)
            )
        if len(found) > 1:
            raise CommandRejected(
                f"{len(found)} vertices begin with '{prefix}'", hint="give more digits"
            )
        return (await self.read_vertices(found))[0]

    async def find_vertices(self, texts: Sequence[str]) -> list[SignedVertex]:
        """Several vertices, each once, in the order in which they were named."""
        found = [await self.find_vertex(text) for text in texts]
        return list({signed.id: signed for signed in found}.values())

    async def read_vertices(self, ids: Sequence[bytes]) -> list[SignedVertex]:
        """Stored vertices by id; those that are not stored are left out."""
        wires = await self._runtime.read(ids)
        return [decode_signed(wires[vertex_id]) for vertex_id in ids if vertex_id in wires]


def hint_at_stored(pruned_lamport: int) -> str:
    """What to do about an id that names nothing here."""
    hint = "`meshnode dag log` lists what is stored"
    if pruned_lamport:
        hint += f"; history up to lamport {pruned_lamport} is pruned here"
    return hint


def list_byte_prefixes(prefix: str) -> list[bytes]:
    """What ids with these first hex digits begin with, as whole bytes."""
    ends = [""] if len(prefix) % 2 == 0 else list("0123456789abcdef")
    return [bytes.fromhex(f"{prefix}{end}") for end in ends]
