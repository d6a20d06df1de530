"""The market's past in the journal's file: written with the commits, read back, bounded."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dag.order import Commit
from market.commands import Accept, Close, Finalise, Transfer
from market.events import REFUSED
from meshnode.core.events import Committed
from meshnode.core.market_steps import take_step
from meshnode.errors import CorruptJournal
from meshnode.shell import market_table
from meshnode.shell.journal import open_journal
from meshnode.shell.market_history import MarketHistory
from meshnode.shell.market_table import StoredEvent
from tests.support.market_scene import MarketScene, get_account

NETWORK = b"n" * 32
BUYER, PROVIDER = get_account(6), get_account(5)


class ToldScene(MarketScene):
    """A market whose commits are told as a node tells them."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Committed] = []

    def make_commit(self, advance_ms: int = 100) -> Commit:
        if self.index:
            self.tell()
        return super().make_commit(advance_ms)

    def tell(self) -> None:
        commit = Commit(self.index, self.digest, bytes(32), bytes(32), (), self.time_ms)
        self.told.append(Committed(commit, 0, take_step(self.state)))


@pytest.fixture(scope="module")
def scene() -> ToldScene:
    """A contract that was settled, one that is live, and a refusal."""
    scene = ToldScene()
    scene.list_model()
    scene.make_provider(5)
    for _ in range(2):
        scene.offer(5, 2_000, 4)
        scene.bid(6, 2_000, 4)
    first = next(iter(scene.state.contracts.rows.rows())).id
    for account, command in ((5, Accept(first)), (6, Close(first)), (6, Finalise(first))):
        scene.say(account, command)
    scene.say(5, Finalise(first))
    scene.say(7, Transfer(BUYER, 2**61))
    scene.wait(1)
    scene.tell()
    return scene


@pytest.fixture
async def history(scene: ToldScene, tmp_path: Path):
    journal = await open_journal(tmp_path, NETWORK)
    try:
        await journal.append((), scene.told)
        yield MarketHistory(journal)
    finally:
        await journal.close()


async def test_events_come_back_newest_first(scene: ToldScene, history: MarketHistory):
    stored = await history.read_events(limit=1_000)
    assert [each.event for each in reversed(stored)] == scene.events
    assert await history.find_floor() == 0
    mine = await history.read_events(account=BUYER, limit=3)
    assert [each.event.account for each in mine] == [BUYER] * 3
    assert mine[0].position > mine[-1].position
    assert mine[0].time_ms > mine[-1].time_ms
    broke = await history.read_events(account=get_account(7), limit=9)
    assert [each.event.kind for each in broke] == [REFUSED]
    assert await history.read_events(account=get_account(7), limit=9, refusals=False) == []


async def test_what_became_of_commands_is_found_by_their_ids(
    scene: ToldScene, history: MarketHistory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(market_table, "_FIND_MAX", 1)
    refused = next(event for event in scene.events if event.account == get_account(7))
    placed = next(event for event in scene.events if event.kind == "order_placed")
    found = await history.find_events([refused.subject, placed.subject])
    assert [each.event.subject for each in found][-1] == refused.subject
    assert isinstance(found[0], StoredEvent)
    assert await history.find_events([]) == []


async def test_chain_of_an_account_adds_up_to_what_the_state_has(
    scene: ToldScene, history: MarketHistory
):
    for account in (BUYER, PROVIDER):
        audit = scene.state.trail.audits.get(account)
        assert audit is not None
        assert await history.sum_audit(account) == (audit.count, audit.digest)
    assert await history.sum_audit(b"nobody") == (0, bytes(32))


async def test_steps_follow_an_index(scene: ToldScene, history: MarketHistory):
    steps = await history.read_steps(after=0, limit=1_000)
    assert [event for step in steps for event in step.events] == scene.events
    assert sum(len(step.trades) for step in steps) == 2
    later = await history.read_steps(after=steps[0].position, limit=2)
    assert later == steps[1:3]


async def test_contracts_are_remembered_as_they_began_and_ended(
    scene: ToldScene, history: MarketHistory
):
    live, settled = await history.read_contracts(limit=9)
    assert live.ended is None
    assert settled.ended is not None
    assert (settled.contract.phase, settled.ended.outcome) == ("locked", "settled")
    assert settled.ended_ms is not None
    assert settled.ended_ms > settled.time_ms
    assert await history.read_contracts(limit=9, ended=True) == [settled]
    assert await history.read_contracts(limit=1) == [live]
    assert await history.read_contracts(limit=9, account=BUYER, model=scene.model) == [
        live,
        settled,
    ]
    assert await history.read_contracts(limit=9, account=b"nobody") == []
    assert await history.find_contracts(live.contract.id[:2], limit=2) == [live]
    assert await history.find_trades([settled.contract.bid, settled.contract.offer]) == [settled]


async def test_only_the_newest_are_remembered(
    scene: ToldScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(market_table, "EVENTS_MAX", 3)
    monkeypatch.setattr(market_table, "CONTRACTS_MAX", 1)
    journal = await open_journal(tmp_path, NETWORK)
    try:
        await journal.append((), scene.told)
        history = MarketHistory(journal)
        assert [each.event for each in await history.read_events(limit=9)] == list(
            reversed(scene.events[-3:])
        )
        assert len(await history.read_contracts(limit=9)) == 1
        (oldest,) = (await history.read_events(limit=9))[-1:]
        assert await history.find_floor() == oldest.position
    finally:
        await journal.close()


async def test_damaged_contract_is_named(history: MarketHistory, tmp_path: Path):

    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("UPDATE market_contracts SET contract = x'c1'")
    connection.commit()
    connection.close()
    with pytest.raises(CorruptJournal, match="a contract of commit"):
        await history.read_contracts(limit=9)
