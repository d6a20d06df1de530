"""Events for the application: every subscriber has its own bounded buffer.

A subscriber that does not keep up is told so, with a number, and starts again from the journal;
it can neither slow the node down nor make it hold more and more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from meshnode.core.events import Event
from meshnode.errors import MeshError

if TYPE_CHECKING:
    from types import TracebackType


class SubscriberLagged(MeshError):
    """A subscriber read too slowly, and missed events; what it missed is in the journal."""

    code = "subscriber_lagged"
    retryable = True

    def __init__(self, missed: int) -> None:
        super().__init__(
            f"this subscriber read too slowly and missed {missed} events",
            hint="subscribe again, and read what was missed from the journal",
        )
        self.missed = missed


class Subscription:
    """An asynchronous iterator over events from now on, ended by `close` or by the node's end."""

    def __init__(self, hub: EventHub, buffer_max: int) -> None:
        self._hub = hub
        self._buffer: deque[Event] = deque()
        self._buffer_max = buffer_max
        self._missed = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._news = asyncio.Event()

    def offer(self, event: Event) -> None:
        """Take an event, or count it as missed; from the first miss on all are missed."""
        if self._missed or len(self._buffer) >= self._buffer_max:
            self._missed += 1
        else:
            self._buffer.append(event)
        self._news.set()

    def end(self, failure: BaseException | None) -> None:
        """No more events follow; the reader gets what is buffered first."""
        self._ended = True
        self._failure = failure
        self._news.set()

    def close(self) -> None:
        """Stop listening."""
        self._hub.remove(self)
        self.end(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._buffer:
                return self._buffer.popleft()
            if self._missed:
                self.close()
                missed, self._missed = self._missed, 0
                raise SubscriberLagged(missed)
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class EventHub:
    """Hands each event to every subscriber."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._ended = False
        self._failure: BaseException | None = None

    def subscribe(self, buffer_max: int) -> Subscription:
        """A new subscription; it sees what is published from now on."""
        assert buffer_max > 0, "a subscription needs a buffer"
        subscription = Subscription(self, buffer_max)
        if self._ended:
            subscription.end(self._failure)
        else:
            self._subscriptions.append(subscription)
        return subscription

    def publish(self, event: Event) -> None:
        """Offer an event to every subscriber; never waits."""
        for subscription in self._subscriptions:
            subscription.offer(event)

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription; harmless when it is forgotten."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def end(self, failure: BaseException | None) -> None:
        """The node has stopped: every subscription ends, with the failure if there was one."""
        self._ended = True
        self._failure = failure
        for subscription in self._subscriptions:
            subscription.end(failure)
        self._subscriptions.clear()
