"""The DAG that a host holds, as a picture: one lane per author, drawn as everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dag.types import get_kind_name
from meshnode.drawing.lattice import make_lattice
from meshnode.drawing.svg import draw_svg
from meshnode.views import RefView, VertexInfo
from simulations.fidelity import remember_vertex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dag.vertex import SignedVertex
    from simulations.host import Host

VERTICES_MAX: Final = 240
"""The newest so many are drawn; a picture of more is read by nobody."""


def draw_store(host: Host, *, vertices_max: int = VERTICES_MAX) -> str:
    """An SVG of what a host has stored, the newest vertices of it."""
    stored = _read_store(host)
    names = {bytes(other.identity.author): other.identity.name for other in host.world.hosts}
    newest = sorted(stored, key=lambda signed: (signed.vertex.lamport, signed.id))[-vertices_max:]
    shown = [_show(signed, names) for signed in newest]
    held = f"{len(stored)} vertices" if len(stored) != 1 else "1 vertex"
    drawn = f", the newest {len(shown)} of them" if len(shown) < len(stored) else ""
    return draw_svg(
        make_lattice(shown),
        title=f"What {host.identity.name} holds",
        subtitle=f"{held}{drawn}, at {host.world.now_ms:,} ms of virtual time",
    )


def _read_store(host: Host) -> list[SignedVertex]:
    found = []
    for vertex_id in dict.fromkeys(host.disk.stored_ids()):
        wire = host.disk.read(vertex_id)
        assert wire is not None, "what is in the log can be read"
        found.append(remember_vertex(wire))
    return found


def _show(signed: SignedVertex, names: Mapping[bytes, str]) -> VertexInfo:
    vertex = signed.vertex
    return VertexInfo(
        id=signed.id.hex(),
        author=vertex.author.hex(),
        author_name=names.get(vertex.author, ""),
        kind=get_kind_name(vertex.kind),
        lane=vertex.lane,
        seq=vertex.seq,
        lamport=vertex.lamport,
        time_ms=vertex.time_ms,
        size_bytes=len(signed.wire),
        parents=tuple(RefView(lamport=ref.lamport, id=ref.id.hex()) for ref in vertex.parents),
    )
