"""Starting and stopping a node, in an order that loses nothing.

Start: (1) lock and open the journal, load what it holds; (2) verifier threads; (3) the transport
listens, because the own profile names the addresses it got, and connections that come early wait;
(4) the core, from settings, fresh entropy and the journal; (5) the runner; (6) frames may enter.

Stop: (1) commands are refused; (2) publications under way are finished, within a bound; (3) the core
says goodbye to its peers; (4) the transport sends what is queued and closes; (5) the runner ends with
its timer, jobs and pumps; (6) the threads end; (7) the recording ends; (8) the journal is folded into
one file, closed, unlocked. If the node fails by itself, the transport closes at once, steps 2 and 3
are left out, and the failure is raised where the node was opened.

Where a core has put a snapshot of its peers below itself, another is begun from the journal, inside
the same process: its connections are new, all else stands.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dag.canonical import encode
from dag.genesis import Genesis, compute_network_id
from dag.identity import (
    compute_author_id,
    derive_public_keys,
    make_profile,
)
from dag.keys import PublicKeys, SecretKeys
from meshnode.core.admission import Admission
from meshnode.core.commands import Leave
from meshnode.core.messages import ADDRESSES_MAX
from meshnode.core.node import Node
from meshnode.core.settings import Limits, Settings, Timing
from meshnode.errors import CorruptJournal, InvalidMessage
from meshnode.shell.apply import Applier
from meshnode.shell.bulk import BulkSender
from meshnode.shell.clock import Clock, TimeSource
from meshnode.shell.crash import CrashFile
from meshnode.shell.gate import Gate
from meshnode.shell.inbox import Inbox
from meshnode.shell.journal import Journal, open_journal
from meshnode.shell.recording import FORMAT, Header, Recorder
from meshnode.shell.runner import Runner
from meshnode.shell.runtime import Runtime
from meshnode.shell.subscriptions import EventHub
from meshnode.shell.telemetry import Telemetry
from meshnode.shell.verify_pool import VerifyPool
from meshnode.transport.base import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.core.recovered import Recovered

INBOX_MAX: Final = 1_024
DRAIN_MS: Final = 2_000
"""How long a stop waits for publications under way."""
GOODBYE_MS: Final = 500
SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """What a node is opened with."""

    genesis: Genesis
    secrets: SecretKeys = field(repr=False)
    directory: Path
    """Of the journal; one per network and node."""
    transport: Transport
    name: str = ""
    addresses: tuple[str, ...] | None = None
    """Advertised to others; None for those the transport says."""
    inviter: bytes = b""
    invitation: bytes = b""
    """Canonical `SignedInvitation` with the bearer's proof; empty for founders."""
    credentials: tuple[bytes, ...] = ()
    validates: bool = False
    """Whether to make blocks, where the network's committee names this node."""
    prunes: bool = False
    """Whether history below the last certified checkpoint but one is deleted."""
    record_path: Path | None = None
    agent: str = "meshnode"
    version: str = "0"
    """Of the program, for recordings."""
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    clock: TimeSource = field(default_factory=Clock)
    _trust_unverified: bool = False
    """Benchmarks only: admit vertices without checking signatures. No configuration reaches it."""


@asynccontextmanager
async def open_runtime(options: RuntimeOptions) -> AsyncIterator[Runtime]:
    """Run a node while the block runs.

    Raises `StorageError`, `TransportError`, and at the end whatever made the node stop by itself.
    """
    async with AsyncExitStack() as stack:
        runtime = await _start(options, stack)
        yield runtime
    if runtime.failure is not None:
        raise runtime.failure


async def _start(options: RuntimeOptions, stack: AsyncExitStack) -> Runtime:
    network = compute_network_id(options.genesis)
    journal = await open_journal(options.directory, network)
    stack.push_async_callback(journal.close)
    recovered = await journal.load()
    pool = VerifyPool(options.secrets, options.genesis.suite)
    stack.push_async_callback(pool.close)
    parts = _Parts(options, journal, pool)
    stack.push_async_callback(parts.close_transport)
    await options.transport.start(parts.gate)
    keys = derive_public_keys(options.secrets, options.genesis.suite)
    settings = make_settings(options, keys)
    seed = os.urandom(SEED_BYTES)
    recorder = await _open_recorder(options, settings, seed, recovered, stack)
    # A long history takes a while; the loop may have other nodes to run meanwhile.
    node = await asyncio.to_thread(_make_node, settings, seed, recovered)
    runtime = parts.run(node, settings, recorder)
    stack.push_async_callback(runtime.placements.close)
    stack.push_async_callback(parts.stop)
    await parts.wait_started()
    parts.gate.open(_make_admission(options, node))
    return runtime


def _make_admission(options: RuntimeOptions, node: Node) -> Admission:
    return Admission(
        compute_network_id(options.genesis),
        options.genesis.suite,
        node.authors,
        node.is_stored,
        is_spent=node.is_spent,
        verify=not options._trust_unverified,  # noqa: SLF001  # private to this module
    )


def _make_node(settings: Settings, seed: bytes, recovered: Recovered) -> Node:
    try:
        return Node(settings, seed, recovered)
    except InvalidMessage as error:
        raise CorruptJournal(
            f"the journal holds what cannot have been admitted: {error}",
            hint="`meshnode dag verify` names what is damaged",
        ) from error


def make_settings(options: RuntimeOptions, keys: PublicKeys) -> Settings:
    """The core's settings; the transport must be listening, because its addresses enter them."""
    transport = options.transport
    addresses = transport.addresses if options.addresses is None else options.addresses
    addresses = addresses[:ADDRESSES_MAX]
    profile = make_profile(
        keys, name=options.name, addresses=addresses, invitation=options.invitation
    )
    return Settings(
        genesis=options.genesis,
        author=compute_author_id(keys.ed25519_key, keys.mldsa65_key),
        transport=transport.peer_id,
        addresses=addresses,
        profile=encode(profile),
        inviter=options.inviter,
        agent=options.agent,
        credentials=options.credentials,
        validates=options.validates,
        prunes=options.prunes,
        timing=options.timing,
        limits=options.limits,
    )


async def _open_recorder(
    options: RuntimeOptions,
    settings: Settings,
    seed: bytes,
    recovered: Recovered,
    stack: AsyncExitStack,
) -> Recorder | None:
    if options.record_path is None:
        return None
    recorder = Recorder(options.record_path)
    header = Header(
        format=FORMAT,
        version=options.version,
        settings=settings,
        seed=seed,
        values=recovered.values,
        delivered=recovered.delivered,
    )
    await recorder.open(header, recovered)
    stack.push_async_callback(recorder.close)
    return recorder


class _Parts:
    """What a node is made of, and the order in which it stops."""

    def __init__(self, options: RuntimeOptions, journal: Journal, pool: VerifyPool) -> None:
        self._options = options
        self._journal = journal
        self._pool = pool
        self._telemetry = Telemetry()
        self._inbox = Inbox(INBOX_MAX)
        self._hub = EventHub()
        self._bulk = BulkSender(options.transport, journal, self._telemetry, self._fail)
        self._runner: Runner | None = None
        self._runtime: Runtime | None = None
        self._applier: Applier | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport_closed = False
        self.gate = Gate(inbox=self._inbox, pool=pool, bulk=self._bulk, telemetry=self._telemetry)

    def run(self, node: Node, settings: Settings, recorder: Recorder | None) -> Runtime:
        """Start the runner."""
        options = self._options
        runner = Runner(
            node,
            clock=options.clock,
            inbox=self._inbox,
            hub=self._hub,
            telemetry=self._telemetry,
            crash=CrashFile(options.directory),
            sign=self._pool.compute,
            begin_anew=partial(self._begin_anew, settings),
            recorder=recorder,
        )
        self._applier = Applier(
            transport=options.transport,
            journal=self._journal,
            pool=self._pool,
            bulk=self._bulk,
            telemetry=self._telemetry,
            applicant=runner,
            is_heard=self.gate.is_heard,
        )
        runtime = Runtime(
            genesis=options.genesis,
            author=settings.author,
            profile=settings.profile,
            node=node,
            clock=options.clock,
            inbox=self._inbox,
            gate=self.gate,
            runner=runner,
            hub=self._hub,
            journal=self._journal,
            transport=options.transport,
            telemetry=self._telemetry,
        )
        self._runner, self._runtime = runner, runtime
        self._telemetry.start()
        self._task = asyncio.get_running_loop().create_task(
            self._supervise(runner, self._applier, runtime), name="core"
        )
        return runtime

    async def _begin_anew(self, settings: Settings) -> Node:
        """Make a core from what the journal holds now, and put it in place of the last one."""
        assert self._runtime is not None
        recovered = await self._journal.load()
        settings = replace(settings, profile=self._runtime.profile)
        node = await asyncio.to_thread(_make_node, settings, os.urandom(SEED_BYTES), recovered)
        self._runtime.replace_node(node)
        self.gate.open(_make_admission(self._options, node))
        return node

    async def wait_started(self) -> None:
        """Until the core has started. Raises what kept it from starting."""
        assert self._runner is not None
        await self._runner.wait_started()

    async def _supervise(self, runner: Runner, applier: Applier, runtime: Runtime) -> None:
        await runner.run(applier)
        if runner.failure is not None:
            await self.close_transport()
        runtime.note_stopped()

    def _fail(self, error: BaseException) -> None:
        if self._runner is not None:
            self._runner.on_failure(error)

    async def stop(self) -> None:
        """Steps 1 to 5 of a stop."""
        assert self._runner is not None
        assert self._applier is not None
        assert self._task is not None
        runner = self._runner
        runner.refuse_commands("the node is stopping")
        if runner.failure is None:
            await runner.drain(DRAIN_MS)
            runner.leave(Leave("the node is stopping"))
            await runner.drain(GOODBYE_MS)
            await self.close_transport()
        runner.stop()
        await self._task
        await self._applier.close()
        self._telemetry.stop()

    async def close_transport(self) -> None:
        """Close the transport, once."""
        if not self._transport_closed:
            self._transport_closed = True
            await self._options.transport.close()
