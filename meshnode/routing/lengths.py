"""How long answers usually are: what a query's decoding will cost is known only by its like."""

from __future__ import annotations

TENANTS_MAX = 1_024
_DIVISOR = 10
_SCALE = 1_000


class OutputLengths:
    """Mean length of the last answers, by tenant and model; a new tenant starts at the model's."""

    def __init__(self, start_tokens: int) -> None:
        self._start = start_tokens
        self._means: dict[tuple[str, str], int] = {}
        """In thousandths, least lately learned first."""

    def note(self, tenant: str, model: str, tokens: int) -> None:
        """A tenant's answer from a model has ended with so many tokens."""
        sample = tokens * _SCALE
        mean = self._means.pop(("", model), self._start * _SCALE)
        if tenant:
            own = self._means.pop((tenant, model), mean)
            self._means[tenant, model] = own + (sample - own) // _DIVISOR
        self._means["", model] = mean + (sample - mean) // _DIVISOR
        while len(self._means) > TENANTS_MAX:
            del self._means[next(iter(self._means))]

    def predict(self, tenant: str, model: str, max_tokens: int) -> int:
        """Tokens an answer will have, never more than its limit (0 for none)."""
        mean = self._means.get((tenant, model)) or self._means.get(("", model))
        tokens = self._start if mean is None else mean // _SCALE
        return min(tokens, max_tokens) if max_tokens else tokens
