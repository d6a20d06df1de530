"""Opening what finds members, from a node's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from meshnode.discovery.service import Discovery, DiscoveryOptions, read_points
from meshnode.views import WayInfo

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from meshnode.config import NodeConfig
    from meshnode.node.setup import NodeSetup
    from meshnode.shell.runtime import Runtime
    from meshnode.transport.libp2p.transport import Libp2pTransport


async def open_discovery(
    setup: NodeSetup, config: NodeConfig, runtime: Runtime, stack: AsyncExitStack
) -> Discovery:
    """Start finding members over a libp2p transport; closing the stack ends it."""
    transport = cast("Libp2pTransport", runtime.transport)
    options = DiscoveryOptions(
        mdns=config.mdns,
        points=read_points(config.rendezvous),
        hints=tuple((one.peer, one.addresses) for one in setup.membership.bootstrap),
        serves_rendezvous=config.serve_rendezvous,
        serves_relay=config.serve_relay,
        uses_relays=config.use_relays,
        punches_holes=config.punch_holes,
        listens_on=transport.bound_addresses,
    )
    discovery = Discovery(runtime, setup.secrets.libp2p_seed, options, transport)
    if config.serve_relay:
        transport.serve_relay(discovery.is_member)
    if config.punch_holes:
        transport.punch_holes(discovery.is_ready)
    stack.push_async_callback(discovery.close)
    await discovery.start()
    return discovery


def show_ways(discovery: Discovery | None) -> tuple[WayInfo, ...]:
    """What was tried to find others and to be found, and what came of it."""
    if discovery is None:
        return ()
    return tuple(
        WayInfo(name=way.name, state=way.state, detail=way.detail, fix=way.fix)
        for way in discovery.describe()
    )
