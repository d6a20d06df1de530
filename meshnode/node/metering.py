"""A node's engine keeps books: what its requests use is written down, and a daily cap is kept."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from meshnode.account_prices import make_price_finder
from meshnode.engines.base import Metered
from meshnode.kimi_settings import MAX_TOKENS_DEFAULT
from meshnode.spending import CappedEngine, DailyCap
from meshnode.usage_store import UsageStore, UsageWriter

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from meshnode.config import NodeConfig
    from meshnode.engines.base import Engine
    from meshnode.engines.usage import UsageRecord

_ACCOUNTS = ("moonshot", "openrouter")


async def meter_engine(engine: Engine, config: NodeConfig, stack: AsyncExitStack) -> Engine:
    """The engine to serve with; closing the stack, after the engine, writes the last record.

    A node without a home folder of its own keeps no books.
    """
    if config.home is None or not isinstance(engine, Metered):
        return engine
    store = await asyncio.to_thread(UsageStore, config.home)
    stack.callback(store.close)
    writer = UsageWriter(store)
    stack.push_async_callback(asyncio.to_thread, writer.close)
    if config.daily_cap_udollar is None or engine.name not in _ACCOUNTS:
        engine.meter(writer.take)
        return engine
    books = await asyncio.to_thread(UsageStore, config.home)
    stack.callback(books.close)
    cap = DailyCap(books, engine.name, config.daily_cap_udollar, now_ms=_read_clock_ms)

    def take(record: UsageRecord) -> None:
        cap.count(record)
        writer.take(record)

    engine.meter(take)
    options = config.engine_options
    return CappedEngine(
        engine,
        cap,
        make_finder=partial(
            make_price_finder, engine.name, str(options.get("region", "international"))
        ),
        default_model=str(options.get("model", "")),
        answer_tokens=int(str(options.get("answer_tokens", MAX_TOKENS_DEFAULT))),
    )


def _read_clock_ms() -> int:
    return time.time_ns() // 1_000_000
