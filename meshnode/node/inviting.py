"""Letting others in: tickets out, joiners' questions answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dag.genesis import compute_network_id, encode_genesis
from market.decimals import format_ruv
from market.errors import Code
from meshnode.errors import CommandRejected, MarketRefused
from meshnode.invitations import InvitationBook
from meshnode.joining import PUBLIC_SEED, JoinServer
from meshnode.ticket import Ticket, encode_ticket, select_addresses

if TYPE_CHECKING:
    from meshnode.node.setup import NodeSetup
    from meshnode.shell.runtime import Runtime

PROFILE_MS: Final = 5_000
"""A node that was just opened publishes its profile within this, or nobody can join yet."""


class Inviter:
    """This node's side of every invitation it issued."""

    def __init__(self, setup: NodeSetup, runtime: Runtime) -> None:
        self._setup = setup
        self._runtime = runtime
        self._book = InvitationBook(setup.directory / "invitations.bin")
        self._network = compute_network_id(setup.genesis)

    @property
    def book(self) -> InvitationBook:
        """What this node has issued."""
        return self._book

    async def invite(self, *, uses: int, expires_in_ms: int, role: str, grant_uruv: int = 0) -> str:
        """Issue an invitation; the ticket holds its secret. 0 ms never expires."""
        if expires_in_ms < 0:
            raise CommandRejected("an invitation cannot have expired before it is issued")
        runtime, setup = self._runtime, self._setup
        if role == "open":
            return self._make_public_ticket()
        if role == "validator":
            self._require_seat()
        self._require_cover(grant_uruv, uses)
        now_ms = runtime.now_ms()
        seed = await asyncio.to_thread(
            self._book.issue,
            setup.secrets,
            setup.genesis.suite,
            network=self._network,
            inviter=runtime.author,
            uses=uses,
            expires_ms=now_ms + expires_in_ms if expires_in_ms else 0,
            role=role,
            now_ms=now_ms,
            grant_uruv=grant_uruv,
        )
        return self._encode_ticket(seed)

    def _encode_ticket(self, seed: bytes) -> str:
        genesis, transport = self._setup.genesis, self._runtime.transport
        return encode_ticket(
            Ticket(
                network=self._network,
                network_name=genesis.name,
                suite=genesis.suite,
                peer=transport.peer_id,
                addresses=select_addresses(transport.addresses),
                bearer_seed=seed,
            )
        )

    def _make_public_ticket(self) -> str:
        """A ticket without a secret, for whoever wants to come: only open networks have one."""
        if not self._setup.genesis.parameters.open:
            raise CommandRejected(
                "this network admits by invitation only",
                hint="invite a peer; `meshnode init --open` founds an open network",
            )
        return self._encode_ticket(PUBLIC_SEED)

    def _require_seat(self) -> None:
        """Nobody's word proposes a validator but a validator's."""
        if all(
            one.author != self._runtime.author for one in self._runtime.view().consensus.validators
        ):
            raise CommandRejected(
                "this node is no validator, so it cannot invite one",
                hint="invite a peer, and propose it with `meshnode validators add`",
            )

    def _require_cover(self, grant_uruv: int, uses: int) -> None:
        """Promise nothing that is not there now; when a newcomer comes is what counts."""
        if grant_uruv < 0:
            raise CommandRejected("an invitation cannot carry less than nothing")
        free = self._runtime.market.ledger.get(self._runtime.author).free
        if grant_uruv * uses > free:
            raise MarketRefused(
                f"{format_ruv(grant_uruv * uses)} ruv are promised where {format_ruv(free)} "
                "are free",
                reason=Code.INSUFFICIENT_FUNDS,
                hint="grant less, or to fewer; `meshnode wallet` shows what there is",
            )

    def make_join_server(self) -> JoinServer:
        """Answers those who come with a ticket."""
        return JoinServer(
            network=self._network,
            genesis=encode_genesis(self._setup.genesis),
            peer=self._runtime.transport.peer_id,
            invitations=self._book,
            load_credentials=self._load_credentials,
            now_ms=self._runtime.now_ms,
            is_open=self._setup.genesis.parameters.open,
        )

    async def _load_credentials(self) -> tuple[bytes, ...]:
        """The profiles that lead from a founder down to this node, its own last."""
        try:
            async with self._runtime.events() as events, asyncio.timeout(PROFILE_MS / 1000):
                while not (own := await self._read_own_profile()):
                    await anext(events)
        except (TimeoutError, StopAsyncIteration):
            raise CommandRejected(
                "this node has not published its own profile yet", hint="try again in a moment"
            ) from None
        return (*self._setup.membership.credentials, own)

    async def _read_own_profile(self) -> bytes:
        """Its signed bytes, empty while it is not stored."""
        for member in self._runtime.view().members:
            if member.id == self._runtime.author and member.profiles:
                first = member.profiles[0].id
                return (await self._runtime.read([first])).get(first, b"")
        return b""
