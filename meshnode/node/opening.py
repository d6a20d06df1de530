"""Opening a node: settings in, a handle out, everything undone at the end.

Start: home folder, lock and identity; the network (the home's, a ticket's, or a new one); the
runtime, which listens and connects; the engine, which may take long to load. Stop is the reverse,
after peers were told that no more questions are taken and answers under way had a moment to end.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from meshnode.config import NodeConfig
from meshnode.core.commands import Connect, Serve
from meshnode.core.settings import Timing
from meshnode.engines.base import Engine
from meshnode.errors import CommandRejected, ConfigError, DeadlineExceeded, TransportError
from meshnode.home import Home, open_home
from meshnode.invitations import was_invited_as_validator
from meshnode.node.finding import open_discovery
from meshnode.node.handle import NodeHandle
from meshnode.node.metering import meter_engine
from meshnode.node.seat_asking import ask_for_seat
from meshnode.node.setup import (
    NodeSetup,
    choose_name,
    found_network,
    get_version,
    join_network,
    make_transport,
    open_identity,
)
from meshnode.secret import Secret
from meshnode.shell.clock import Clock
from meshnode.shell.lifecycle import RuntimeOptions, open_runtime
from meshnode.ticket import decode_ticket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from meshnode.shell.runtime import Runtime
    from meshnode.transport.memory import MemoryNetwork

    OnPhase = Callable[[str, str], None]

JOIN_WAIT_MS: Final = 5_000
"""After a join the inviter should be there within this; the node runs without it too."""
_PORT: Final = re.compile(r"/tcp/(\d+)")


@asynccontextmanager
async def open_node(
    config: NodeConfig | None = None,
    *,
    engine: str | Engine | None = None,
    ticket: str | None = None,
    transport: str | MemoryNetwork = "libp2p",
    passphrase: Secret | str | None = None,
    on_phase: OnPhase | None = None,
    **overrides: Any,
) -> AsyncIterator[NodeHandle]:
    """Run a node inside this process while the block runs.

    Without a home folder the node keeps nothing: it is a network of its own in a temporary folder,
    or, with a ticket, a guest of the ticket's network, and its identity ends with it.

    Args:
        config: Settings; the defaults where left out.
        engine: Name of an engine, `none`, or an engine of your own; before `config.engine`.
        ticket: Join this network first.
        transport: `libp2p`, or a `MemoryNetwork` that connects nodes of this process.
        passphrase: Opens the key store, or encrypts a new one.
        on_phase: Called with each phase of the start and what it is doing.
        overrides: Any field of `NodeConfig`: `home`, `name`, `listen`, `share` and so on.

    Raises `ConfigError`, `StorageError`, `TransportError`, `EngineError`, `CommandRejected`.
    """
    settings = _override(config or NodeConfig(), engine, overrides)
    secret = Secret(passphrase) if isinstance(passphrase, str) else passphrase
    hub = None if isinstance(transport, str) else transport
    if hub is None and transport != "libp2p":
        raise ConfigError(f"there is no transport named {transport!r}", hint="use 'libp2p'")
    own_engine = None if engine is None or isinstance(engine, str) else engine
    report = on_phase or _say_nothing
    async with AsyncExitStack() as stack:
        report("opening", "opening home folder and key")
        setup = await _prepare(settings, secret, ticket, hub, stack)
        handle = await start_node(
            setup, settings, stack, engine=own_engine, hub=hub, on_phase=report
        )
        if ticket is not None:
            await _wait_for_inviter(handle)
        report("ready", "ready")
        yield handle


async def start_node(
    setup: NodeSetup,
    config: NodeConfig,
    stack: AsyncExitStack,
    *,
    engine: Engine | None,
    hub: MemoryNetwork | None,
    on_phase: OnPhase,
    timing: Timing | None = None,
) -> NodeHandle:
    """Start a prepared node; closing the stack stops it."""
    on_phase("connecting", "listening and connecting to known peers")
    node_stack = AsyncExitStack()
    runtime = await _open_on_some_port(setup, config, node_stack, hub, timing or Timing())
    handle = NodeHandle(setup, config, runtime, node_stack)
    stack.push_async_callback(handle.close)
    if hub is None:
        handle.set_discovery(await open_discovery(setup, config, runtime, node_stack))
    await handle.start_sealing()
    await handle.start_blobs()
    await handle.start_trading()
    for bootstrap in setup.membership.bootstrap:
        await runtime.submit(Connect(bootstrap.peer, bootstrap.addresses))
    if was_invited_as_validator(setup.membership.invitation):
        membership = setup.membership
        asking = asyncio.create_task(
            ask_for_seat(runtime, membership.inviter, membership.invitation)
        )
        node_stack.push_async_callback(_cancel, asking)
    name = config.engine or ("none" if setup.membership.inviter else "auto")
    chosen = engine
    if chosen is None:
        chosen = await asyncio.to_thread(_create_engine, name, config.engine_options)
    if chosen is None:
        # Saying so spares peers the wait for an advert.
        await runtime.submit(Serve((), slots=0, running=0, queued=0, draining=False))
    else:
        on_phase("loading", f"loading engine {chosen.name}")
        await handle.start_engine(await meter_engine(chosen, config, node_stack))
    return handle


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _override(
    config: NodeConfig, engine: str | Engine | None, overrides: dict[str, Any]
) -> NodeConfig:
    known = {field.name for field in dataclasses.fields(NodeConfig)}
    for name in overrides:
        if name not in known:
            raise ConfigError(f"there is no setting '{name}'", hint=f"{', '.join(sorted(known))}")
    if isinstance(engine, str):
        overrides = {**overrides, "engine": engine}
    if overrides.get("home") is not None:
        overrides = {**overrides, "home": Path(overrides["home"])}
    return dataclasses.replace(config, **overrides)


def _say_nothing(phase: str, detail: str) -> None:
    """Libraries keep quiet unless asked."""


def _create_engine(name: str, options: Mapping[str, object]) -> Engine | None:
    """An engine by its name; in a thread, because importing one may take a second."""
    if name == "none":
        return None
    from meshnode.engines.registry import create_engine

    return create_engine(name, options)


async def _prepare(
    config: NodeConfig,
    passphrase: Secret | None,
    ticket: str | None,
    hub: MemoryNetwork | None,
    stack: AsyncExitStack,
) -> NodeSetup:
    now_ms = Clock().now_ms()
    invitation = None if ticket is None else decode_ticket(ticket)
    home = await asyncio.to_thread(_open_home, config, stack)
    stack.enter_context(home.lock(now_ms=now_ms))
    identity = await asyncio.to_thread(
        partial(open_identity, home, config, passphrase, now_ms=now_ms)
    )
    name = await asyncio.to_thread(choose_name, home, config, identity)
    network = await asyncio.to_thread(home.get_current_network)
    if invitation is not None and (network is None or network.network != invitation.network):
        network = await join_network(home, identity, invitation, kind=config.kind, hub=hub)
    if network is None:
        network = await asyncio.to_thread(
            partial(found_network, home, identity, config, name=name, now_ms=now_ms)
        )
    kept = config.home is not None
    return NodeSetup(
        directory=network.directory,
        genesis=network.genesis,
        secrets=identity.secrets,
        name=name,
        membership=network.membership,
        home=home if kept else None,
        key_mode=identity.mode if kept else None,
        ring=identity.ring,
        ring_file=identity.ring_file,
    )


def _open_home(config: NodeConfig, stack: AsyncExitStack) -> Home:
    if config.home is not None:
        return open_home(config.home, check=config.host_binding)
    folder = tempfile.TemporaryDirectory(prefix="meshnode-", ignore_cleanup_errors=True)
    return open_home(Path(stack.enter_context(folder)), check=False)


async def _open_on_some_port(
    setup: NodeSetup,
    config: NodeConfig,
    stack: AsyncExitStack,
    hub: MemoryNetwork | None,
    timing: Timing,
) -> Runtime:
    """Open the runtime on the port this home used before, or, if that is taken, on another."""
    home = setup.home
    wishes = [config.listen]
    if home is not None and hub is None:
        remembered = tuple(home.resolve_listen(listen) for listen in config.listen)
        if remembered != config.listen:
            wishes.insert(0, remembered)
    for listen in wishes[:-1]:
        try:
            return await _open_runtime(setup, config, stack, hub=hub, timing=timing, listen=listen)
        except TransportError:
            continue
    runtime = await _open_runtime(setup, config, stack, hub=hub, timing=timing, listen=wishes[-1])
    found = _PORT.search(" ".join(runtime.transport.addresses))
    if home is not None and found is not None:
        await asyncio.to_thread(home.remember_port, int(found[1]))
    return runtime


async def _open_runtime(
    setup: NodeSetup,
    config: NodeConfig,
    stack: AsyncExitStack,
    *,
    hub: MemoryNetwork | None,
    timing: Timing,
    listen: tuple[str, ...],
) -> Runtime:
    # Importing libp2p takes seconds; the loop has better things to do meanwhile.
    transport = await asyncio.to_thread(
        partial(
            make_transport,
            hub,
            setup.secrets.libp2p_seed,
            listen=listen,
            announce=config.advertise,
        )
    )
    return await stack.enter_async_context(
        open_runtime(
            RuntimeOptions(
                genesis=setup.genesis,
                secrets=setup.secrets,
                directory=setup.directory,
                transport=transport,
                name=setup.name,
                inviter=setup.membership.inviter,
                invitation=setup.membership.invitation,
                credentials=setup.membership.credentials,
                validates=config.validates,
                prunes=config.prune,
                record_path=config.record,
                agent=f"meshnode/{get_version()}",
                version=get_version(),
                timing=timing,
            )
        )
    )


async def _wait_for_inviter(handle: NodeHandle) -> None:
    try:
        await handle.wait_for_peers(1, timeout_ms=JOIN_WAIT_MS)
    except DeadlineExceeded:
        return  # `status` and events tell; the node keeps trying
    except CommandRejected:
        return
