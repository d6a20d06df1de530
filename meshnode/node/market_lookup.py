"""Finding accounts, models and orders by what people call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dag.types import ID_BYTES
from market.errors import Code
from market.orders import Code as OrderCode
from meshnode.errors import CommandRejected, MarketRefused
from meshnode.market_views import LISTED_MAX

if TYPE_CHECKING:
    from market.open_orders import OpenOrder
    from meshnode.node.lookup import Lookup
    from meshnode.shell.runtime import Runtime

MODELS_NAMED: Final = 8


class MarketLookup:
    """What names mean in the market of a running node."""

    def __init__(self, runtime: Runtime, lookup: Lookup) -> None:
        self._runtime = runtime
        self._lookup = lookup

    def list_names(self) -> dict[bytes, str]:
        """The name of every member."""
        return self._lookup.list_names()

    def find_account(self, text: str | None) -> bytes:
        """A member by its name or the beginning of its id, or any whole id; None is this node.

        Raises `CommandRejected`.
        """
        if text is None:
            return self._runtime.author
        whole = read_id(text)
        return self._lookup.find_author(text) if whole is None else whole

    def find_model(self, text: str) -> bytes:
        """A listed model by its variant or the beginning of its id. Raises `MarketRefused`."""
        models = self._runtime.market.compliance.models
        found = [
            key
            for key, row in models.items()
            if text and (row.model_variant == text or key.hex().startswith(text.lower()))
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise CommandRejected(
                f"'{text[:80]}' means {len(found)} instruments", hint="name one by its id"
            )
        known = [row.model_variant for _, row in models.items()][:MODELS_NAMED]
        raise MarketRefused(
            f"no model '{text[:80]}' is listed",
            reason=Code.UNKNOWN_MODEL,
            hint=f"there are {', '.join(known)}"
            if known
            else "validators list one with `meshnode market list`",
        )

    def find_order(self, text: str) -> bytes:
        """An open order of this node by the beginning of its id, or any whole id.

        Raises `MarketRefused` where none begins so.
        """
        whole = read_id(text)
        if whole is not None:
            return whole
        own: list[OpenOrder] = [
            row
            for row in self._runtime.market.desk.orders.rows()
            if row.account == self._runtime.author
            and text
            and row.id.hex().startswith(text.lower())
        ]
        if len(own) > 1:
            raise CommandRejected(
                f"{len(own)} open orders begin with '{text[:80]}'", hint="give more digits"
            )
        if not own:
            raise MarketRefused(
                f"no open order of this node begins with '{text[:80]}'",
                reason=OrderCode.UNKNOWN_ORDER,
                hint="`meshnode market orders` lists them",
            )
        return own[0].id


def read_id(text: str) -> bytes | None:
    """A whole id in hex; None for anything else."""
    if len(text) != 2 * ID_BYTES:
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def check_limit(limit: int) -> None:
    """Raises `CommandRejected` for a length that no list has."""
    if not 1 <= limit <= LISTED_MAX:
        raise CommandRejected(
            f"{limit} entries cannot be listed", hint=f"ask for 1 to {LISTED_MAX}"
        )
