"""Questions that are paid for on a real mesh, one of whose providers is killed half-way.

    python -m tests.campaigns.paid_questions --questions 200 --seed 7

Four real processes, all of them validators: two sell answers, the other two ask, a few questions at
a time, each with a price. Half-way the cheaper provider gets SIGKILL, and in the end it starts again
and settles what it is owed. Then every micro-ruv is looked for on every node: what accounts have,
what contracts hold, what was burned and pooled is what was minted; all nodes have the same root;
every contract has ended, and cost what both sides had signed, never more than was delivered plus two
lots. Prints a closing table; exit code 1 when anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from market.amounts import LOT_TOKENS, compute_cost
from market.decimals import format_ruv
from market.receipts import UNACKNOWLEDGED_LOTS_MAX
from meshnode.demo.founding import found_network
from meshnode.demo.processes import Crew, DemoNode, open_crew
from meshnode.errors import AnswerInterrupted, MeshError
from meshnode.market_views import LISTED_MAX, ContractInfo, MarketInfo, TradeInfo
from meshnode.trading.counting import TOKEN_BYTES
from meshnode.views import Answer
from tests.support.daemons import kill, percentile, wait_connected

SELLERS = ("seller-1", "seller-2")
BUYERS = ("buyer-1", "buyer-2")
PRICES_URUV = (100_000, 110_000)
MAX_PRICE_URUV = 130_100
"""What a question bids. Bids that clear offers of the killed provider bid what those ask, for which
nobody else offers: where they meet nothing, there was nothing to match."""
STAKE_URUV = 400_000_000
LONG_SHARE = 0.2
"""Of the questions have answers of several lots."""
WORD_MS = 2
"""Pause of the echo before each word, so that answers stream."""
TRIES_MAX = 3
"""A question whose answer broke off is asked again as often, as a person would."""
MATCHED_SHARE = 0.95
POLL_S = 0.1
SETTLE_S = 180.0
ASK_MS = 60_000

Tell = Callable[[str], None]


@dataclass
class Report:
    """What a campaign showed."""

    answers: list[Answer] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """From the question to the last word, one for each answer."""
    broken: list[int] = field(default_factory=list)
    """Bytes of the answers that broke off."""
    errors: list[str] = field(default_factory=list)
    unanswered: int = 0
    bids: int = 0
    matched: int = 0
    clearings: int = 0
    """Bids for offers of who did not answer."""
    contracts: list[ContractInfo] = field(default_factory=list)
    killed_after: int = 0
    settle_s: float = 0.0
    lines: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh, its market and its questions."""

    def __init__(self, crew: Crew, *, questions: int, seed: int, engine: str, tell: Tell) -> None:
        self._crew = crew
        self._questions = questions
        self._random = random.Random(seed)
        self._engine = engine
        self._tell = tell
        self._nodes: dict[str, DemoNode] = {}
        self._variant = ""
        self._markets: list[MarketInfo] = []
        self.report = Report()

    async def run(self) -> None:
        """Everything, from the first start to the last check."""
        await self._start()
        await self._open_market()
        await self._ask_all()
        await self._settle()
        await self._check_money()
        await self._check_contracts()
        self._sum_up()

    # --- the mesh and its market ------------------------------------------------------------------

    async def _start(self) -> None:
        names = (*SELLERS, *BUYERS)
        await asyncio.to_thread(found_network, self._crew.folder, names)
        started = await asyncio.gather(*(self._start_one(name) for name in names))
        self._nodes = dict(zip(names, started, strict=True))
        await wait_connected(list(self._nodes.values()))

    async def _start_one(self, name: str) -> DemoNode:
        flags = {"api": "127.0.0.1:0", "listen": ["/ip4/127.0.0.1/tcp/0"], "kind": "demo"}
        engine = {"engine": self._engine if name in SELLERS else "none"}
        if self._engine == "echo" and name in SELLERS:
            engine["engine_options"] = {"delay_ms": WORD_MS}  # type: ignore[assignment]
        return await self._crew.start(name, flags | engine)

    async def _open_market(self) -> None:
        engine = (await self._nodes[SELLERS[0]].remote.status()).engine
        assert engine is not None, "sellers have an engine"
        self._variant = engine.models[0].id
        # Three of four validators are the two thirds that carry a motion.
        movers = [node.remote for node in self._nodes.values()][:3]
        await asyncio.gather(*(mover.market_list(self._variant) for mover in movers))
        await self._wait(self._is_listed, "the model is listed")
        for name, price_uruv in zip(SELLERS, PRICES_URUV, strict=True):
            seller = self._nodes[name].remote
            await seller.market_attest(
                self._variant,
                backend="own_weights",
                terms_digest="00" * 32,
                terms_version="1",
                hardware_digest="00" * 32,
                daily_cap_lots=1_000_000,
            )
            await seller.wallet_stake(STAKE_URUV)
            await seller.market_offer(
                self._variant, price_uruv=price_uruv, lots=self._questions * 5
            )

    async def _is_listed(self) -> bool:
        found = [await node.remote.market_instruments() for node in self._nodes.values()]
        return all(found)

    # --- questions --------------------------------------------------------------------------------

    async def _ask_all(self) -> None:
        """Every question, a few at a time; half-way a provider is killed."""
        prompts = [self._make_prompt(number) for number in range(self._questions)]
        waiting = list(enumerate(prompts))
        killing = asyncio.create_task(self._kill_half_way())
        askers = [self._ask_on(BUYERS[number % 2], waiting) for number in range(6)]
        await asyncio.gather(*askers)
        await killing

    def _make_prompt(self, number: int) -> tuple[str, int]:
        """A question, and the longest answer to it."""
        if self._engine == "echo" and self._random.random() < LONG_SHARE:
            words = self._random.randint(700, 1_000)
            return f"question {number}: {'forwards ' * words}", 3_000
        return f"question {number}: what is {self._random.randint(1, 99)} and one?", 100

    async def _kill_half_way(self) -> None:
        while len(self.report.answers) < self._questions // 2:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S / 10)
        self.report.killed_after = len(self.report.answers)
        victim = self._nodes.pop(SELLERS[0])
        await asyncio.to_thread(kill, victim)
        await victim.remote.close()
        self._tell(f"{SELLERS[0]} was killed after {self.report.killed_after} answers")

    async def _ask_on(self, buyer: str, waiting: list[tuple[int, tuple[str, int]]]) -> None:
        while waiting:
            number, (prompt, tokens) = waiting.pop(0)
            for _ in range(TRIES_MAX):
                if await self._ask(buyer, number, prompt, tokens):
                    break
            else:
                self.report.unanswered += 1

    async def _ask(self, buyer: str, number: int, prompt: str, tokens: int) -> bool:
        began_s = time.monotonic()
        try:
            answer = await self._nodes[buyer].remote.ask(
                prompt,
                model=self._variant,
                max_tokens=tokens,
                max_price_uruv=MAX_PRICE_URUV,
                timeout_ms=ASK_MS,
            )
        except AnswerInterrupted as error:
            self.report.broken.append(len(error.text.encode()))
            return False
        except MeshError as error:
            self.report.errors.append(f"question {number}: {error}")
            self._tell(self.report.errors[-1])
            return False
        if self._engine == "echo" and not answer.text.endswith(prompt):
            self._fail(f"question {number} was answered with {answer.text[:80]!r}")
        self.report.answers.append(answer)
        self.report.seconds.append(time.monotonic() - began_s)
        return True

    # --- the end ----------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """The killed provider comes back, and every contract comes to its end."""
        self._nodes[SELLERS[0]] = await self._start_one(SELLERS[0])
        await wait_connected(list(self._nodes.values()))
        began_s = time.monotonic()
        await self._wait(self._is_settled, "every contract has ended")
        self.report.settle_s = time.monotonic() - began_s

    async def _is_settled(self) -> bool:
        """Whether all stand at one commit, and no contract is live there."""
        self._markets = [await node.remote.market() for node in self._nodes.values()]
        indices = dict.fromkeys(market.commit_index for market in self._markets)
        return len(indices) == 1 and not any(market.live_contracts for market in self._markets)

    async def _check_money(self) -> None:
        """Every micro-ruv is somewhere, and every node says the same."""
        totals: list[int] = []
        for name, node in self._nodes.items():
            market = await node.remote.market()
            total = market.burned_uruv + market.pool_uruv
            for other in self._nodes:
                wallet = await node.remote.wallet(other)
                total += wallet.free_uruv + wallet.reserved_uruv + wallet.bonded_uruv
                total += wallet.escrow_uruv + wallet.collateral_uruv
            totals.append(total)
            if total != market.minted_uruv or market.held_uruv:
                self._fail(f"{name} finds {total} of {market.minted_uruv} uruv")
        roots = {market.root: market.commit_index for market in self._markets}
        if len(roots) != 1:
            self._fail(f"the nodes have different roots: {roots}")
        self._say("accounted for", f"{format_ruv(totals[0])} ruv on each of {len(totals)} nodes")

    async def _check_contracts(self) -> None:
        report, remote = self.report, self._nodes[BUYERS[0]].remote
        await self._wait(self._is_written_down, "every ended contract is written down")
        report.contracts = await remote.market_contracts(ended=True, limit=LISTED_MAX)
        trades = await remote.market_trades(limit=LISTED_MAX)
        await self._count_bids(trades)
        ended = {contract.id: contract for contract in report.contracts}
        owed_uruv = 0
        for answer in report.answers:
            payment = answer.payment
            assert payment is not None, "every answer here is paid for"
            owed_uruv += payment.cost_uruv
            contract = ended.get(payment.contract)
            if contract is None or contract.phase != "settled":
                self._fail(f"contract {payment.contract[:12]} is not settled")
            elif contract.cost_uruv > payment.cost_uruv:
                self._fail(f"contract {contract.id[:12]} cost {contract.cost_uruv}")
            self._check_delivery(answer)
        paid_uruv = sum(contract.cost_uruv for contract in ended.values())
        most_uruv = owed_uruv + sum(map(_compute_most, report.broken))
        if paid_uruv > most_uruv:
            self._fail(f"{paid_uruv} uruv were paid where {most_uruv} are the most")

    async def _is_written_down(self) -> bool:
        ended = await self._nodes[BUYERS[0]].remote.market_contracts(ended=True, limit=LISTED_MAX)
        known = {contract.id for contract in ended}
        payments = [answer.payment for answer in self.report.answers]
        return all(each is None or each.contract in known for each in payments)

    def _check_delivery(self, answer: Answer) -> None:
        """What was paid for was delivered, but for two lots at most."""
        payment = answer.payment
        assert payment is not None
        delivered = -(-len(answer.text.encode()) // TOKEN_BYTES)
        if payment.tokens_out > delivered + UNACKNOWLEDGED_LOTS_MAX * LOT_TOKENS:
            self._fail(f"{payment.tokens_out} tokens were paid where {delivered} came")

    async def _count_bids(self, trades: list[TradeInfo]) -> None:
        placed: dict[str, int] = {}
        for name in BUYERS:
            history = await self._nodes[name].remote.wallet_history(limit=LISTED_MAX)
            placed |= {
                entry.subject: entry.amount_uruv
                for entry in history
                if entry.kind == "order_placed"
            }
        met = {trade.bid: None for trade in trades}
        bids = [bid for bid, margin_uruv in placed.items() if margin_uruv % MAX_PRICE_URUV == 0]
        self.report.bids = len(bids)
        self.report.matched = sum(bid in met for bid in bids)
        self.report.clearings = len(placed) - len(bids)

    def _sum_up(self) -> None:
        report = self.report
        if report.unanswered:
            self._fail(f"{report.unanswered} questions have no answer")
        if report.matched < MATCHED_SHARE * report.bids:
            self._fail(f"{report.matched} of {report.bids} bids were matched")
        phases = [contract.phase for contract in report.contracts]
        paid_uruv = sum(contract.cost_uruv for contract in report.contracts)
        receipts = sum(answer.payment.receipts for answer in report.answers if answer.payment)
        count = len(report.answers)
        self._say("questions", f"{count} answered, {len(report.broken)} broke off")
        self._say("errors", f"{len(report.errors)}")
        self._say("bids", f"{report.matched} of {report.bids} matched, {report.clearings} to clear")
        self._say(
            "contracts", f"{phases.count('settled')} settled, {phases.count('refunded')} refunded"
        )
        self._say("paid", f"{format_ruv(paid_uruv)} ruv, {receipts} receipts signed")
        self._say(
            "an answer takes",
            f"{percentile(report.seconds, 0.5):.2f} s, "
            f"{percentile(report.seconds, 0.95):.2f} s at the 95th of a hundred",
        )
        self._say("all settled", f"{report.settle_s:.1f} s after the killed provider was back")

    async def _wait(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(SETTLE_S):
                while not await condition():  # noqa: ASYNC110 - in other processes
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            with suppress(MeshError):
                live = await self._nodes[BUYERS[0]].remote.market_contracts(limit=LISTED_MAX)
                self._tell(f"live: {[(each.id[:8], each.phase, each.detail) for each in live]}")
            self._fail(f"it did not come about within {SETTLE_S:.0f} s that {what}")

    def _say(self, name: str, text: str) -> None:
        self.report.lines.append((name, text))
        self._tell(f"{name:<16} {text}")

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)
        self._tell(f"{'FAILED':<16} {text}")


def _compute_most(size_bytes: int) -> int:
    """The most that may be paid for an answer that broke off after so many bytes."""
    tokens = -(-size_bytes // TOKEN_BYTES) + UNACKNOWLEDGED_LOTS_MAX * LOT_TOKENS
    return compute_cost(max(PRICES_URUV), tokens)


async def campaign(*, questions: int, seed: int, engine: str, tell: Tell) -> Report:
    """Run one on a fresh mesh."""
    folder = Path(tempfile.mkdtemp(prefix="meshnode-paid-"))
    async with open_crew(folder) as crew:
        tell(f"{questions} questions, engine {engine}, seed {seed}, load {os.getloadavg()[0]:.1f}")
        run = Campaign(crew, questions=questions, seed=seed, engine=engine, tell=tell)
        await run.run()
    return run.report


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--engine", choices=("echo", "embedded"), default="echo")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True)

    report = asyncio.run(
        campaign(
            questions=arguments.questions,
            seed=arguments.seed,
            engine=arguments.engine,
            tell=tell,
        )
    )
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
