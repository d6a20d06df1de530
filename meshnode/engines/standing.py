"""How an engine stands with its provider: what is switched off, until when, and why.

No I/O and no clock: times come in as milliseconds of one clock. Limits belong to an organisation,
not to a key or a model, so a limit hit by one request cools down every engine of its quota domain.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.upstream_errors import says_daily

if TYPE_CHECKING:
    from random import Random

COOLDOWN_MS_MIN = 1_000
COOLDOWN_MS_MAX = 60_000
DAY_COOLDOWN_MS_MAX = 24 * 3_600_000
QUOTA_CHECK_MS = 60_000
"""How often a balance is asked for again at most, while it keeps an engine switched off."""
QUOTA_BLIND_MS = 300_000
"""How long a used-up balance counts where the provider does not tell balances."""
MODELS_OFF_MAX = 256
"""Names come from requests, so what is remembered of them is bounded."""


@dataclass(eq=False)
class QuotaDomain:
    """What engines share that are limited together."""

    cool_until_ms: int = 0
    _reason: str = ""
    _hits: int = 0
    """Limits hit in a row, without a success between them."""
    out_of_quota: bool = False
    quota_reason: str = ""
    balance_micro: int | None = None
    """The balance when the provider said it was used up; None where it did not say."""
    used_up_ms: int = 0
    checked_ms: int = 0

    def cool_down(
        self, reason: str, *, now_ms: int, retry_after_ms: int | None, random: Random
    ) -> int:
        """Begin a pause, or extend one; returns how long it is from now.

        A provider's own time counts up to a minute, or up to a day where its limit is one for a day:
        a mistake of its, or of a proxy, must not switch an engine off for longer.
        """
        self._hits = min(self._hits + 1, 16)
        if retry_after_ms is None:
            grown_ms = min(COOLDOWN_MS_MIN << (self._hits - 1), COOLDOWN_MS_MAX)
            wait_ms = random.randint(grown_ms // 2, grown_ms)
        else:
            longest_ms = DAY_COOLDOWN_MS_MAX if says_daily(reason) else COOLDOWN_MS_MAX
            wait_ms = min(max(retry_after_ms, 1), longest_ms)
        self.cool_until_ms = max(self.cool_until_ms, now_ms + wait_ms)
        self._reason = reason
        return self.cool_until_ms - now_ms

    def note_success(self) -> None:
        """A request was answered: the next limit starts a short pause again."""
        self._hits = 0

    def use_up(self, reason: str, *, now_ms: int) -> None:
        """The balance is used up; nothing is sent until it changes."""
        self.out_of_quota = True
        self.quota_reason = reason
        self.checked_ms = self.used_up_ms = now_ms

    def take_balance(self, balance_micro: int | None, *, now_ms: int) -> None:
        """Switch on again where the balance has changed to something that can be spent.

        Where no balance can be learned, one request may try after a while.
        """
        if balance_micro is None:
            changed = now_ms - self.used_up_ms >= QUOTA_BLIND_MS
        else:
            changed = balance_micro > 0 and balance_micro != self.balance_micro
        if changed:
            self.out_of_quota = False
            self.balance_micro = None

    def check(self, *, now_ms: int) -> None:
        """Raises `EngineError` where nothing may be sent now."""
        if self.out_of_quota:
            raise EngineError(
                EngineFault.OUT_OF_QUOTA,
                f"not asked again, because the balance is used up: {self.quota_reason}",
                hint="top up the account; a changed balance is noticed within a minute",
            )
        wait_ms = self.cool_until_ms - now_ms
        if wait_ms > 0:
            raise EngineError(
                EngineFault.RATE_LIMITED,
                f"not asked for another {-(-wait_ms // 1_000)} s: {self._reason}",
                retry_after_ms=wait_ms,
                hint="retry then, or ask another engine",
            )


_domains: WeakValueDictionary[str, QuotaDomain] = WeakValueDictionary()


def share_quota_domain(name: str) -> QuotaDomain:
    """The domain of a name in this process; it lives as long as an engine holds it."""
    domain = _domains.get(name)
    if domain is None:
        domain = _domains[name] = QuotaDomain()
    return domain


class Standing:
    """One engine's: its key, its models, and the quota domain it belongs to."""

    def __init__(self, domain: QuotaDomain, *, remembers: bool) -> None:
        """With `remembers`, refusals of the key and of models hold.

        An engine of one's own may have loaded the model since, and asking it again costs nothing.
        """
        self.domain = domain
        self._remembers = remembers
        self._refused: EngineError | None = None
        self._models_off: OrderedDict[str, EngineError] = OrderedDict()

    def check(self, model: str, *, now_ms: int) -> None:
        """Raises `EngineError` where a request for this model must not be sent."""
        if self._refused is not None:
            raise _again(self._refused, "the key was refused", "change the configuration")
        off = self._models_off.get(model)
        if off is not None:
            raise _again(off, f"model {model[:100]!r} was refused", "choose another model")
        self.domain.check(now_ms=now_ms)

    def note_error(self, error: EngineError, model: str, *, now_ms: int, random: Random) -> None:
        """Learn from a provider's refusal; `error` gets its time to retry where it had none."""
        if error.fault is EngineFault.UNAUTHORIZED and self._remembers:
            self._refused = error
        elif self._remembers and error.fault in (
            EngineFault.FORBIDDEN,
            EngineFault.MODEL_NOT_FOUND,
        ):
            self._models_off[model] = error
            self._models_off.move_to_end(model)
            if len(self._models_off) > MODELS_OFF_MAX:
                self._models_off.popitem(last=False)
        elif error.fault is EngineFault.OUT_OF_QUOTA:
            self.domain.use_up(error.message, now_ms=now_ms)
        elif error.fault is EngineFault.RATE_LIMITED:
            error.retry_after_ms = self.domain.cool_down(
                error.message, now_ms=now_ms, retry_after_ms=error.retry_after_ms, random=random
            )

    def note_listed(self, models: list[str]) -> None:
        """A list of models that names one again takes back that it was refused."""
        for model in models:
            self._models_off.pop(model, None)


def _again(error: EngineError, what: str, hint: str) -> EngineError:
    return EngineError(error.fault, f"not asked again, because {what}: {error.message}", hint=hint)
