"""Which pinned vertices a newcomer can stand on: those whose authors it can come to know.

A first profile is valid by the profile of who invited its author. That one is pinned too, if it was
put out; if it was not, nobody can say where it is to be found. Whoever stands on such a profile is
left out of what a newcomer begins with, and fetched when something of its author comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.authors import is_first_profile
from dag.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dag.authors import AuthorRegistry
    from dag.vertex import SignedVertex, Vertex


def list_groundless(vertices: Iterable[SignedVertex], authors: AuthorRegistry) -> list[bytes]:
    """Ids of the vertices whose author's profile is not known, nor valid by another of these."""
    introduced: dict[bytes, bytes] = {}
    groundless: list[bytes] = []
    for signed in sorted(vertices, key=lambda signed: signed.ref):
        vertex = signed.vertex
        record = authors.get(vertex.author)
        if is_first_profile(vertex):
            is_grounded = _is_valid(vertex, authors, introduced)
            if is_grounded:
                introduced[signed.id] = vertex.author
        else:
            is_known = record is not None and (record.founder or bool(record.profiles))
            is_grounded = is_known or vertex.author in introduced.values()
        if not is_grounded:
            groundless.append(signed.id)
    return groundless


def _is_valid(vertex: Vertex, authors: AuthorRegistry, introduced: Mapping[bytes, bytes]) -> bool:
    """Whether a first profile is valid by what is known, or stands on one that was introduced."""
    inviter = authors.find_unknown_inviter(vertex)
    if inviter is not None:
        return any(introduced.get(ref.id) == inviter for ref in vertex.parents)
    try:
        authors.check_profile(vertex)
    except InvalidMessage:
        return False
    return True
