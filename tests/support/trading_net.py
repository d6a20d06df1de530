"""Serving nodes that trade: streams of the memory transport, one market that all of them see."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from market.amounts import LOT_TOKENS
from market.commands import PlaceOrder, compute_command_id
from market.receipts import sign_receipt
from meshnode.errors import CommandRejected
from meshnode.market_views import OutcomeInfo, SubmissionInfo, TradeInfo
from meshnode.serving.question import Question
from meshnode.serving.server import AnswerServer
from meshnode.trading.buying import Buyer
from meshnode.trading.counting import TOKEN_BYTES
from meshnode.trading.purchase import Wish
from meshnode.trading.room import TradingRoom, open_room
from meshnode.trading.selling import Seller
from tests.support.market_scene import NETWORK, Keys, MarketScene, get_account, get_secrets
from tests.support.serving_net import (
    REQUEST,
    FakeNode,
    ScriptedEngine,
    ServingNet,
    serving_net,
    until,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from market.commands import Command, ListMotion
    from market.contracts import Contract
    from market.receipts import Receipt
    from market.state import MarketState

BUYER, FIRST, SECOND = 4, 5, 6
PRICE = 1_000
MODEL = "kimi-k2"
LOT_BYTES = LOT_TOKENS * TOKEN_BYTES


def engine(*script: Any, **options: Any) -> ScriptedEngine:
    """An engine that serves the model of the market."""
    return ScriptedEngine(script or ("Hello", " world"), **{"model": MODEL, "slots": 4, **options})


class FakeTradePort:
    """`meshnode.trading.port.TradePort` over a scene; each submission is a commit of its own."""

    network = NETWORK
    suite: Literal["hybrid", "ed25519"] = "ed25519"
    keys = Keys()

    def __init__(self, net: TradingNet, number: int, node: FakeNode) -> None:
        self._net = net
        self._node = node
        self.number = number
        self.account = get_account(number)
        self.said: list[Command] = []
        self.refuses = False
        self.refused = 0
        self.mutes: tuple[type, ...] = ()
        """Commands that get lost."""
        self.status = "accepted"

    @property
    def market(self) -> MarketState:
        return self._net.scene.state

    async def sign(self, receipt: Receipt) -> bytes:
        return sign_receipt("ed25519", get_secrets(self.number), receipt)

    async def submit(self, commands: Sequence[Command], *, wait_ms: int) -> SubmissionInfo:
        await asyncio.sleep(0)
        if self.refuses:
            self.refused += 1
            raise CommandRejected("the queue of own vertices is full")
        self.said += commands
        kept = [each for each in commands if not isinstance(each, self.mutes)]
        scene = self._net.scene
        vertex = scene.make_batch(self.number, *kept)
        if kept:
            scene.apply([vertex])
            self._net.ring()
        refused = {
            event.subject: event.detail for event in scene.state.events if "ref" in event.kind
        }
        return SubmissionInfo(
            vertex=vertex.id.hex(),
            commit_index=scene.index,
            time_ms=scene.time_ms,
            outcomes=tuple(
                self._make_outcome(compute_command_id(vertex.id, position), command, refused)
                for position, command in enumerate(kept)
            ),
        )

    def _make_outcome(
        self, name: bytes, command: Command, refused: dict[bytes, str]
    ) -> OutcomeInfo:
        if name in refused:
            return OutcomeInfo(
                id=name.hex(), command="", status="refused", code=refused[name], message="no"
            )
        rows = [row for row in self.market.contracts.rows.rows() if row.bid == name]
        trades = tuple(map(_make_trade, rows)) if isinstance(command, PlaceOrder) else ()
        return OutcomeInfo(id=name.hex(), command="", status=self.status, trades=trades)

    async def follow(self, on_commit: Callable[[], None]) -> None:
        self._net.rings.append(on_commit)
        await asyncio.Event().wait()

    def now_ms(self) -> int:
        return self._node.read_clock_ms()


def _make_trade(row: Contract) -> TradeInfo:
    return TradeInfo(
        contract=row.id.hex(),
        model=row.model.hex(),
        variant="",
        price_uruv=row.price,
        lots=row.lots,
        buyer=row.buyer.hex(),
        buyer_name="",
        provider=row.provider.hex(),
        provider_name="",
        bid=row.bid.hex(),
        offer=row.offer.hex(),
        commit_index=0,
        time_ms=row.opened_ms,
    )


class Trader:
    """A node with a room of its own."""

    def __init__(self, node: FakeNode, port: FakeTradePort, room: TradingRoom) -> None:
        self.node = node
        self.port = port
        self.room = room
        self.buyer = Buyer(room, node, node.asker)
        self.seller: Seller | None = None

    def sell(self) -> None:
        """Serve for pay with the node's engine."""
        self.seller = Seller(self.room, self.node.desk)
        self.node.server = AnswerServer(self.node.desk, self.node, self.seller)
        self.node.handle_stream = self.node.server.serve

    def find_contracts(self) -> list[Contract]:
        return list(self.port.market.contracts.rows.rows())

    def said(self, kind: type) -> list[Any]:
        """Commands of one kind that it has said."""
        return [command for command in self.port.said if isinstance(command, kind)]

    @property
    def free(self) -> int:
        """Its free money."""
        return self.port.market.ledger.get(self.port.account).free

    async def ask(self, *, question: dict | None = None, timeout_ms: int = 20_000, **wish: Any):
        """The items of a bought answer."""
        asked = Question(request=question or REQUEST, timeout_ms=timeout_ms)
        wanted = Wish(**{"max_price_uruv": PRICE, "model": "kimi-k2/fp8", **wish})
        async with aclosing(self.buyer.stream(asked, wanted)) as items:
            return [item async for item in items]

    async def answer(self, **options: Any):
        return (await self.ask(**options))[-1].answer


class TradingNet:
    """Traders by number of their account, and the market that all of them see."""

    def __init__(self, serving: ServingNet, stack: AsyncExitStack, folder: Path) -> None:
        self.scene = MarketScene()
        self.scene.list_model()
        self.serving = serving
        self.rings: list[Callable[[], None]] = []
        self._stack = stack
        self._folder = folder

    def ring(self) -> None:
        for each in self.rings:
            each()

    def list_model(self, listing: ListMotion) -> None:
        self.scene.list_model(listing)

    async def add(
        self, number: int, engine: Any = None, *, price: int = 0, lots: int = 50
    ) -> Trader:
        """A trader; with a price it offers lots at it."""
        node = await self.serving.add(f"trader-{number}")
        node.author = get_account(number)
        if engine is not None:
            await node.host(engine)
        port = FakeTradePort(self, number, node)
        folder = self._folder / str(number)
        folder.mkdir(exist_ok=True)
        room = await self._stack.enter_async_context(open_room(port, folder))
        trader = Trader(node, port, room)
        if engine is not None:
            trader.sell()
        if price:
            self.scene.make_provider(number)
            self.scene.offer(number, price, lots)
        await until(lambda: len(self.rings) > 0)
        return trader

    async def stop(self, trader: Trader) -> None:
        """Take a node away as a crash would; its room says nothing any more."""
        trader.port.refuses = True
        await self.serving.stop(trader.node)

    def pass_time(self, duration_ms: int) -> None:
        """A commit in which nobody says anything, so much later."""
        self.scene.wait(duration_ms)
        self.ring()

    async def settle(self) -> None:
        """Until no contract is live any more."""
        await until(lambda: not len(self.scene.state.contracts.rows), timeout_s=15)


@asynccontextmanager
async def trading_net(folder: Path) -> AsyncIterator[TradingNet]:
    async with serving_net() as serving, AsyncExitStack() as stack:
        yield TradingNet(serving, stack, folder)
