"""Who is served next of those that wait: deficit round robin by tenant, earliest deadline within.

Each tenant in turn may have a quantum of tokens served; what its next request costs beyond it is
saved up over rounds. So tenants get equal shares of tokens, not of requests, and whoever sends
a thousand requests waits behind its own, not before the others'.
"""

from __future__ import annotations


class FairQueue:
    """Waiting requests of all tenants. Costs are positive tokens."""

    def __init__(self, quantum_tokens: int) -> None:
        self._quantum = quantum_tokens
        self._tenants: dict[str, dict[int, tuple[int, int]]] = {}
        """In turn order: of each tenant its requests, by key: deadline and cost."""
        self._deficits: dict[str, int] = {}
        self._in_turn = ""
        """The first tenant, while the quantum of its turn is not used up."""

    def __len__(self) -> int:
        return sum(len(requests) for requests in self._tenants.values())

    def add(self, key: int, tenant: str, *, deadline_ms: int, cost_tokens: int) -> None:
        """A request waits from now on; a new tenant comes last in the round."""
        self._tenants.setdefault(tenant, {})[key] = (deadline_ms, max(1, cost_tokens))
        self._deficits.setdefault(tenant, 0)

    def remove(self, key: int, tenant: str) -> None:
        """A request waits no more. An idle tenant saves nothing up."""
        requests = self._tenants[tenant]
        del requests[key]
        if not requests:
            del self._tenants[tenant], self._deficits[tenant]

    def take(self) -> int:
        """The key of the request that is served next; it waits no more. Not for an empty queue."""
        tenant = next(iter(self._tenants))
        if tenant != self._in_turn or self._deficits[tenant] < self._find_next(tenant)[1]:
            tenant = self._begin_turn(ended=tenant == self._in_turn)
        key, cost = self._find_next(tenant)
        self._deficits[tenant] -= cost
        self.remove(key, tenant)
        return key

    def _find_next(self, tenant: str) -> tuple[int, int]:
        """Key and cost of a tenant's most urgent request."""
        requests = self._tenants[tenant]
        key = min(requests, key=lambda each: (requests[each][0], each))
        return key, requests[key][1]

    def _begin_turn(self, *, ended: bool) -> str:
        """Pass the turn on to the tenant that can pay first, all rounds until then at once."""
        if ended:
            self._rotate(1)
        rounds = [
            max(1, -(-(self._find_next(tenant)[1] - deficit) // self._quantum))
            for tenant, deficit in ((each, self._deficits[each]) for each in self._tenants)
        ]
        least = min(rounds)
        winner = rounds.index(least)
        for place, tenant in enumerate(self._tenants):
            turns = least if place <= winner else least - 1
            self._deficits[tenant] += turns * self._quantum
        self._rotate(winner)
        self._in_turn = next(iter(self._tenants))
        return self._in_turn

    def _rotate(self, places: int) -> None:
        for tenant in list(self._tenants)[:places]:
            self._tenants[tenant] = self._tenants.pop(tenant)
