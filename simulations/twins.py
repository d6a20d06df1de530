"""Two copies of a real node under one identity: whatever a liar with two faces could say.

Neither copy knows of the other. Some hosts reach the one, the rest reach the other, and both speak
for the same author, so they sign different vertices for one slot without any code that attacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulations.host import Host
    from simulations.world import World


def add_twin(world: World, host: Host, viewers: Iterable[Host]) -> Host:
    """Add a copy of a host, and lead these viewers to the copy; it has yet to be started."""
    twin = world.add_host(host.identity, host.settings, costs=host.costs, start=False)
    for viewer in viewers:
        world.links.set_route(viewer, twin)
    return twin
