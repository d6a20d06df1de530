"""What became of commands whose vertex was said again, or is older than what is held."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dag.canonical import encode
from dag.types import Kind
from market.commands import Batch, Stake, compute_command_id
from market.events import REFUSED, Event
from meshnode.node.market_desk import MarketDesk
from meshnode.shell.market_table import StoredEvent
from meshnode.views import Finality
from tests.support.market_scene import get_account, make_vertex

AGAIN = b"a" * 32
COMMANDS = (Stake(1), Stake(2))
SIGNED = make_vertex(get_account(0), 1, encode(Batch(COMMANDS)), Kind.MARKET)


class Past:
    """The second command of the vertex that says it again was refused in commit 7."""

    async def find_floor(self) -> int:
        return 0

    async def find_events(self, subjects: list[bytes]) -> list[StoredEvent]:
        refused = compute_command_id(AGAIN, 1)
        event = Event(REFUSED, get_account(0), refused, detail="insufficient_funds")
        return [StoredEvent(7, 1, event)] if refused in subjects else []


def make_desk(place: Finality) -> MarketDesk:
    async def find_vertex(_: str) -> Any:
        return SIGNED

    async def finality(*_: Any) -> Finality:
        return place

    runtime: Any = SimpleNamespace(market_history=Past())
    lookup: Any = SimpleNamespace(find_vertex=find_vertex)
    order: Any = SimpleNamespace(finality=finality)
    reader: Any = None
    return MarketDesk(runtime, lookup, order, reader)


async def test_commands_that_were_said_again_are_those_of_the_later_vertex():
    place = Finality(
        vertex=SIGNED.id.hex(), final=True, commit_index=7, time_ms=9, repeated_by=AGAIN.hex()
    )
    found = await make_desk(place).find_submission("ab", wait_ms=0)
    assert (found.vertex, found.commit_index) == (AGAIN.hex(), 7)
    assert [each.status for each in found.outcomes] == ["accepted", "refused"]
    assert found.outcomes[0].id == compute_command_id(AGAIN, 0).hex()


async def test_commands_older_than_what_is_held_are_unknown():
    place = Finality(vertex=SIGNED.id.hex(), final=False, forgotten=True)
    found = await make_desk(place).find_submission("ab", wait_ms=0)
    assert [each.status for each in found.outcomes] == ["unknown", "unknown"]
