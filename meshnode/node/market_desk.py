"""What a running node says to the market, and what became of it.

Commands are said in a vertex and have effect when a commit puts it out, the same on every node. So
whoever says something waits, within bounds, for the order; what each command came to is read from
what the commit did, which is written down with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dag.canonical import encode
from dag.errors import InvalidMessage
from dag.types import BODY_BYTES_MAX, Kind
from market.commands import (
    BATCH_DECODER,
    COMMANDS_MAX,
    Batch,
    Command,
    PlaceOrder,
    ReplaceOrder,
    compute_command_id,
)
from market.errors import Refused
from market.events import REFUSED
from market.free_text import check_texts
from meshnode.errors import CommandRejected, MarketRefused
from meshnode.market_views import OutcomeInfo, SubmissionInfo
from meshnode.node.market_naming import name_command
from meshnode.node.market_refusals import describe_code, make_refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dag.vertex import SignedVertex
    from meshnode.market_views import TradeInfo
    from meshnode.node.lookup import Lookup
    from meshnode.node.market_reader import MarketReader
    from meshnode.node.order import OrderReader
    from meshnode.shell.runtime import Runtime
    from meshnode.views import Finality

KINDS: Final = (Kind.MARKET, Kind.RECEIPT)


class MarketDesk:
    """Submits commands and tells what became of them."""

    def __init__(
        self, runtime: Runtime, lookup: Lookup, order: OrderReader, reader: MarketReader
    ) -> None:
        self._runtime = runtime
        self._lookup = lookup
        self._order = order
        self._reader = reader

    async def submit(self, commands: Sequence[Command], *, wait_ms: int) -> SubmissionInfo:
        """Say commands in one vertex, and wait so long for their place in the order.

        Raises `MarketRefused` for a text that must not leave this node, else `CommandRejected`.
        """
        if not 1 <= len(commands) <= COMMANDS_MAX:
            raise CommandRejected(
                f"{len(commands)} commands cannot be said at once", hint=f"say 1 to {COMMANDS_MAX}"
            )
        _check_texts(commands)
        body = encode(Batch(tuple(commands)))
        if len(body) > BODY_BYTES_MAX:
            raise CommandRejected(
                f"the commands take {len(body)} bytes where {BODY_BYTES_MAX} fit a vertex",
                hint="say fewer at once",
            )
        signed = await self._runtime.publish(Kind.MARKET, body)
        return await self._follow(signed, commands, wait_ms)

    async def submit_one(self, command: Command, *, wait_ms: int) -> OutcomeInfo:
        """Say one command. Raises `MarketRefused` where it is refused."""
        (outcome,) = (await self.submit((command,), wait_ms=wait_ms)).outcomes
        if outcome.status == "refused":
            raise make_refusal(outcome.code)
        return outcome

    async def find_submission(self, text: str, *, wait_ms: int) -> SubmissionInfo:
        """What became of the commands of a vertex. Raises `CommandRejected`."""
        signed = await self._lookup.find_vertex(text)
        try:
            commands = BATCH_DECODER.decode(signed.vertex.body).commands
        except InvalidMessage:
            commands = ()
        if signed.vertex.kind not in KINDS or not commands:
            raise CommandRejected(
                f"vertex {signed.id.hex()[:8]} holds no commands for the market",
                hint="`meshnode dag show` shows what it holds",
            )
        return await self._follow(signed, commands, wait_ms)

    # --- inside ---------------------------------------------------------------------------------

    async def _follow(
        self, signed: SignedVertex, commands: Sequence[Command], wait_ms: int
    ) -> SubmissionInfo:
        place = await self._order.finality(signed.id.hex(), wait_ms)
        # What got no place in time was said again: that vertex then names the commands.
        vertex_id = bytes.fromhex(place.repeated_by or place.vertex)
        ids = [compute_command_id(vertex_id, number) for number in range(len(commands))]
        if place.commit_index is None:
            status = "unknown" if place.forgotten else "pending"
            outcomes = [
                _show(command_id, command, status)
                for command_id, command in zip(ids, commands, strict=True)
            ]
        else:
            outcomes = await self._find_outcomes(place.commit_index, ids, commands)
        return _show_submission(signed, place, outcomes)

    async def _find_outcomes(
        self, commit_index: int, ids: Sequence[bytes], commands: Sequence[Command]
    ) -> list[OutcomeInfo]:
        history = self._runtime.market_history
        if commit_index <= await history.find_floor():
            return [
                _show(command_id, command, "unknown")
                for command_id, command in zip(ids, commands, strict=True)
            ]
        refused = {
            stored.event.subject: stored.event.detail
            for stored in await history.find_events(ids)
            if stored.event.kind == REFUSED and stored.position == commit_index
        }
        trades = await self._find_trades(commit_index, ids, commands)
        return [
            _show_refused(command_id, command, refused[command_id])
            if command_id in refused
            else _show(command_id, command, "accepted", trades.get(command_id, ()))
            for command_id, command in zip(ids, commands, strict=True)
        ]

    async def _find_trades(
        self, commit_index: int, ids: Sequence[bytes], commands: Sequence[Command]
    ) -> Mapping[bytes, tuple[TradeInfo, ...]]:
        """By command that brought an order, what that order traded in this commit."""
        orders = {
            command.order if isinstance(command, ReplaceOrder) else command_id: command_id
            for command_id, command in zip(ids, commands, strict=True)
            if isinstance(command, PlaceOrder | ReplaceOrder)
        }
        if not orders:
            return {}
        shown = self._reader.present()
        found: dict[bytes, tuple[TradeInfo, ...]] = {}
        for stored in await self._runtime.market_history.find_trades(tuple(orders)):
            if stored.position != commit_index:
                continue
            for order in (stored.contract.bid, stored.contract.offer):
                if order in orders:
                    known = found.get(orders[order], ())
                    found[orders[order]] = (*known, shown.show_trade(stored))
        return found


def _check_texts(commands: Sequence[Command]) -> None:
    """What is said is public for ever, so a secret is stopped before it leaves this node."""
    try:
        check_texts(commands)
    except Refused as refusal:
        raise MarketRefused(
            f"{refusal.message}; nothing was said", reason=str(refusal.reason), hint=refusal.hint
        ) from None


def _show(
    command_id: bytes, command: Command, status: str, trades: tuple[TradeInfo, ...] = ()
) -> OutcomeInfo:
    return OutcomeInfo(
        id=command_id.hex(), command=name_command(command), status=status, trades=trades
    )


def _show_refused(command_id: bytes, command: Command, code: str) -> OutcomeInfo:
    message, hint = describe_code(code)
    return OutcomeInfo(
        id=command_id.hex(),
        command=name_command(command),
        status="refused",
        code=code,
        message=message,
        hint=hint,
    )


def _show_submission(
    signed: SignedVertex, place: Finality, outcomes: Sequence[OutcomeInfo]
) -> SubmissionInfo:
    return SubmissionInfo(
        vertex=place.repeated_by or signed.id.hex(),
        commit_index=place.commit_index,
        time_ms=place.time_ms,
        outcomes=tuple(outcomes),
    )
