"""What a client of the Model Context Protocol may spend, and how it is held to that."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from market.decimals import format_ruv
from meshnode.gateway.limits import Hold
from meshnode.gateway.refusals import ForbiddenScope, SpendingExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from meshnode.gateway.access import Caller
    from meshnode.gateway.keys import Scope
    from meshnode.gateway.limits import Limits


class Purse(Protocol):
    """One client's means."""

    def may(self, scope: Scope) -> bool:
        """Whether it may do a kind of thing."""

    def hold(self, spend_uruv: int) -> AbstractContextManager[Hold]:
        """A question or a bid under way, which may cost so much. Raises `Refusal`s."""


class CallerPurse:
    """Of whoever sent an HTTP request: its scopes and its limits."""

    def __init__(self, caller: Caller, limits: Limits) -> None:
        self._caller = caller
        self._limits = limits

    def may(self, scope: Scope) -> bool:
        """As its key says; the owner may everything."""
        return self._caller.may(scope)

    def hold(self, spend_uruv: int) -> AbstractContextManager[Hold]:
        """As its key's limits allow."""
        return self._limits.hold(self._caller, spend_uruv)


class SessionPurse:
    """Of one session of the node's owner: so much in all, by default nothing."""

    def __init__(self, max_uruv: int = 0) -> None:
        self._left_uruv = max_uruv
        self._may_spend = max_uruv > 0

    def may(self, scope: Scope) -> bool:
        """Everything, but the market only with means."""
        return scope != "market" or self._may_spend

    @contextmanager
    def hold(self, spend_uruv: int) -> Iterator[Hold]:
        """Reserve so much, and give back what was not spent."""
        if spend_uruv and not self._may_spend:
            raise ForbiddenScope(
                "this session may spend nothing",
                hint="start the server with `meshnode mcp serve --max-ruv AMOUNT`",
            )
        if spend_uruv > self._left_uruv:
            raise SpendingExceeded(
                f"this session has {format_ruv(self._left_uruv)} ruv left, and this may cost "
                f"{format_ruv(spend_uruv)}",
                hint="lower max_ruv, or start the server with a higher --max-ruv",
            )
        self._left_uruv -= spend_uruv
        hold = Hold(spend_uruv)
        try:
            yield hold
        finally:
            self._left_uruv += spend_uruv - hold.cost_uruv
