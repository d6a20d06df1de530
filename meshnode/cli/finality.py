"""When a vertex became final: waited for a moment after an answer, and told in one line."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meshnode.cli.formats import format_duration, format_id, format_time
from meshnode.cli.output import describe_error
from meshnode.errors import MeshError

if TYPE_CHECKING:
    from meshnode.client import RemoteNode
    from meshnode.views import Finality

WAIT_MS: Final = 3_000
"""Longer than an order that goes on takes, and short enough for who waits for a prompt."""


class Wait(NamedTuple):
    """What came of waiting for a vertex to become final."""

    vertex: str
    finality: Finality | None
    """None where the node could not be asked, or the person had seen enough."""
    after_ms: int
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """This as JSON types, to stand inside another document."""
        found = self.finality
        final = found is not None and found.final
        return {
            "final": final,
            "after_ms": self.after_ms if final else None,
            "commit_index": None if found is None else found.commit_index,
            "commit_digest": None if found is None else found.commit_digest,
            "time_ms": None if found is None else found.time_ms,
        }


async def wait_final(node: RemoteNode, vertex: str) -> Wait:
    """Give the mesh a moment to agree on a vertex. Nothing is raised: the answer is there already."""
    began_s = time.monotonic()
    finality, problem = None, ""
    try:
        finality = await node.finality(vertex, wait_ms=WAIT_MS)
    except MeshError as error:
        problem = describe_error(error.message, error.hint)
    except asyncio.CancelledError:
        problem = "not waited for"  # the person has what was asked for: nothing is cut off
    return Wait(vertex, finality, int((time.monotonic() - began_s) * 1_000), problem)


def describe_wait(wait: Wait) -> str:
    """How long it took, or what to do to learn it later."""
    found = wait.finality
    if found is not None and found.final:
        return f"-- final in {format_duration(wait.after_ms)} (commit {found.commit_index})"
    later = f"`meshnode dag show {format_id(wait.vertex, 12)}` tells"
    reason = f" ({wait.problem})" if wait.problem else f" after {format_duration(wait.after_ms)}"
    return f"-- not final yet{reason}; {later}"


def describe_finality(found: Finality) -> str:
    """Where a vertex stands in the order."""
    if found.forgotten:
        return "not known here: it is older than the history that this node holds"
    if not found.final:
        return "not yet; `meshnode consensus status` shows how far the order is"
    role = ", as its leader" if found.leader else ""
    if found.repeated_by is not None:
        role = f", as {format_id(found.repeated_by, 12)}, which says it again"
    return f"commit {found.commit_index}{role}, {format_time(found.time_ms)} as agreed"
