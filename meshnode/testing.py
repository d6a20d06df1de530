"""Meshes for tests: several nodes in one process, connected, deterministic, gone at the end.

    async with mesh(3, engine="echo") as nodes:
        answer = await nodes[0].ask("hello")

Identities and network come from the seed, so ids are the same in every run. Over the default
transport no socket is opened.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from dag.genesis import Genesis, Grant, Parameters, Share, Suite, Validator
from dag.identity import (
    compute_author_id,
    derive_public_keys,
    derive_secret_keys,
    make_profile,
)
from market.amounts import URUV_PER_RUV
from meshnode.config import NodeConfig
from meshnode.errors import CommandRejected, DeadlineExceeded
from meshnode.home import Bootstrap, Membership
from meshnode.node.opening import start_node
from meshnode.node.setup import NodeSetup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dag.keys import SecretKeys
    from meshnode.engines.base import Engine
    from meshnode.node.handle import NodeHandle
    from meshnode.transport.memory import MemoryNetwork

READY_MS: Final = 30_000
FOUNDED_MS: Final = 1_700_000_000_000
NODES_MAX: Final = 16
QUIET_S: Final = 0.1
"""Twice as long as a validator waits between two blocks."""


@asynccontextmanager
async def mesh(
    nodes: int = 3,
    *,
    engine: str | Sequence[str | Engine | None] | Callable[[int], str | Engine | None] = "echo",
    seed: int = 7,
    transport: Literal["memory", "libp2p"] | MemoryNetwork = "memory",
    share: Share = "full",
    suite: Suite = "hybrid",
    validates: bool = True,
    mint_ruv: int = 0,
    ready_ms: int = READY_MS,
) -> AsyncIterator[list[NodeHandle]]:
    """Run nodes `node-1`, `node-2` and so on, every one a founder connected to every other.

    Args:
        nodes: How many, 1 to 16.
        engine: A registered name for all, a list with one per node (None for none), or a function
            of the node's index.
        seed: Makes the identities and the network.
        transport: `memory`, `libp2p` on loopback, or a `MemoryNetwork` of your own.
        share: The network's rule on what results show.
        suite: The network's signatures; `ed25519` is faster.
        validates: Whether they make blocks, and so agree on one order, as nodes do elsewhere. What is
            said costs some rounds of blocks then, a quarter of a second; a test that looks at what
            spreads and never at the order may do without.
        mint_ruv: What each node has from the start, for tests of the market.
        ready_ms: Raises `DeadlineExceeded` when not all are connected by then.
    """
    if not 1 <= nodes <= NODES_MAX:
        raise CommandRejected(f"a mesh of {nodes} nodes", hint=f"choose 1 to {NODES_MAX}")
    secrets = [_make_secrets(seed, index) for index in range(nodes)]
    genesis = _make_genesis(secrets, seed, share, suite, mint_ruv)
    hub = _make_hub(transport)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="meshnode-", ignore_cleanup_errors=True)
        )
        handles: list[NodeHandle] = []
        for index, keys in enumerate(secrets):
            setup = NodeSetup(
                directory=Path(folder) / f"node-{index + 1}",
                genesis=genesis,
                secrets=keys,
                name=f"node-{index + 1}",
                membership=Membership(
                    bootstrap=tuple(
                        Bootstrap(handle.peer_id, handle.addresses) for handle in handles
                    )
                ),
            )
            chosen = _choose_engine(engine, index)
            handles.append(await _start(setup, stack, hub, chosen, validates=validates))
        await _wait_until_ready(handles, ready_ms)
        yield handles


def make_fixture(nodes: int = 3, **options: Any) -> Any:
    """A pytest fixture with a running mesh, for the options of `mesh`; needs pytest-asyncio.

    In `conftest.py`: `three_nodes = make_fixture(3)`. A test then takes `three_nodes`.
    """
    # The plugin belongs to whoever writes tests; nodes themselves do not depend on it.
    fixture = import_module("pytest_asyncio").fixture

    @fixture  # type: ignore[untyped-decorator]
    async def running_mesh() -> AsyncIterator[list[NodeHandle]]:
        async with mesh(nodes, **options) as handles:
            yield handles

    return running_mesh


async def wait_for_equal_heads(nodes: Sequence[NodeHandle], *, timeout_ms: int = READY_MS) -> str:
    """Until all nodes hold the same vertices; returns the heads' digest they agree on."""
    return await _wait_for(nodes, lambda: _find_agreement(nodes), "equal heads", timeout_ms)


async def _start(
    setup: NodeSetup,
    stack: AsyncExitStack,
    hub: MemoryNetwork | None,
    engine: str | Engine | None,
    *,
    validates: bool,
) -> NodeHandle:
    setup.directory.mkdir()
    config = NodeConfig(
        name=setup.name,
        listen=("/ip4/127.0.0.1/tcp/0",),
        engine=engine if isinstance(engine, str) else "none",
        validates=validates,
    )
    return await start_node(
        setup,
        config,
        stack,
        engine=None if isinstance(engine, str) else engine,
        hub=hub,
        on_phase=lambda _phase, _detail: None,
    )


def _choose_engine(engine: Any, index: int) -> str | Engine | None:
    chosen: str | Engine | None
    if isinstance(engine, str):
        chosen = engine
    else:
        chosen = engine(index) if callable(engine) else engine[index]
    return chosen


def _make_hub(transport: str | MemoryNetwork) -> MemoryNetwork | None:
    if not isinstance(transport, str):
        return transport
    if transport != "memory":
        return None
    from meshnode.transport.memory import MemoryNetwork

    return MemoryNetwork()


def _make_secrets(seed: int, index: int) -> SecretKeys:
    name = f"meshnode/testing/{seed}/{index}"
    return derive_secret_keys(hashlib.sha256(name.encode()).digest())


def _make_genesis(
    secrets: Sequence[SecretKeys], seed: int, share: Share, suite: Suite, mint_ruv: int
) -> Genesis:
    keys = [derive_public_keys(each, suite) for each in secrets]
    authors = [compute_author_id(each.ed25519_key, each.mldsa65_key) for each in keys]
    grants = tuple(Grant(author, mint_ruv * URUV_PER_RUV) for author in authors if mint_ruv)
    return Genesis(
        version=1,
        name=f"testing-{seed}",
        kind="demo",
        suite=suite,
        time_ms=FOUNDED_MS,
        nonce=hashlib.sha256(f"meshnode/testing/{seed}".encode()).digest()[:16],
        founders=tuple(
            make_profile(each, name=f"node-{index + 1}") for index, each in enumerate(keys)
        ),
        committee=tuple(Validator(author, 1) for author in authors),
        parameters=Parameters(share=share),
        grants=grants,
    )


async def _wait_until_ready(nodes: Sequence[NodeHandle], timeout_ms: int) -> None:
    """Until everybody is connected, has heard what the others serve, and holds the same."""

    async def is_ready() -> str:
        for node in nodes:
            heard = [peer for peer in await node.peers() if peer.ready and peer.slots is not None]
            if len(heard) < len(nodes) - 1 or (await node.heads()).vertices < len(nodes):
                return ""
        return await _find_agreement(nodes)

    await _wait_for(nodes, is_ready, "ready mesh", timeout_ms)


async def _find_agreement(nodes: Sequence[NodeHandle]) -> str:
    """The heads' digest, where all nodes have the same and have stored what it covers.

    While validators have something to put in order, their blocks go on changing the heads; and so
    may one that was on its way when the last had its place. So heads must stand still for a moment.
    """
    orders = [(await node.status()).consensus for node in nodes]
    active = [order for order in orders if order is not None and order.standing == "active"]
    if any(order.waiting for order in active):
        return ""
    digest = await _find_common_digest(nodes)
    if digest and active:
        await asyncio.sleep(QUIET_S)
        return digest if await _find_common_digest(nodes) == digest else ""
    return digest


async def _find_common_digest(nodes: Sequence[NodeHandle]) -> str:
    heads = [await node.heads() for node in nodes]
    digests = list(dict.fromkeys(each.digest for each in heads))
    if len(digests) > 1:
        return ""
    for node, each in zip(nodes, heads, strict=True):
        for head in each.heads:
            try:
                await node.vertex(head.id)
            except CommandRejected:
                return ""  # admitted, and on its way to the disk: an event follows
    return digests[0]


async def _wait_for(
    nodes: Sequence[NodeHandle],
    condition: Callable[[], Awaitable[str]],
    what: str,
    timeout_ms: int,
) -> str:
    changed = asyncio.Event()

    async def follow(node: NodeHandle) -> None:
        async for _ in node.events():
            changed.set()

    followers = [asyncio.create_task(follow(node)) for node in nodes]
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            await asyncio.sleep(0)  # every follower has subscribed before the first look
            while not (found := await condition()):
                await changed.wait()
                changed.clear()
            return found
    except TimeoutError:
        raise DeadlineExceeded(f"no {what} within {timeout_ms} ms") from None
    finally:
        for follower in followers:
            follower.cancel()
        await asyncio.wait(followers)
