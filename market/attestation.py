"""Who may offer what: listed models, attested backends, and texts that carry no secrets.

Nothing here moves a credential, and nothing could: an account opens its own backend to tasks, takes
each one separately, and may take its word back at any time. The committee lists models with what
their terms allow; what is not listed is not traded.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from dag.canonical import compute_digest, encode
from dag.types import ID_BYTES
from market.amounts import BASIS_POINTS
from market.commands import TEXT_CHARACTERS_MAX, Attest, Backend, ListMotion, Policy
from market.errors import Code, Refused
from market.tables import Table

DAY_MS: Final = 86_400_000
DAILY_CAP_MAX: Final = 2**31
MODEL_DOMAIN: Final = b"meshnode/market-model/1"
NAME_CHARACTERS_MAX: Final = 128
ATTESTATION_DOMAIN: Final = b"meshnode/market-attestation/1"
MODELS_PER_ACCOUNT_MAX: Final = 20

_KEYS: Final = (
    re.compile(r"\b(sk|pk|rk|ak|hf|gh[posru]|xox[abpr]|glpat)[-_](?=[A-Za-z_-]*[0-9])[\w-]{12,}"),
    re.compile(r"\b(AKIA[A-Z0-9]{12,}|AIza[\w-]{20,})"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    re.compile(r"-----BEGIN [A-Z ]*(KEY|CERTIFICATE)"),
)
"""Forms that are nothing else."""
_HINTS: Final = (
    re.compile(r"\b(sk|pk|rk|ak|ghp|gho|ghs|xox[abpr]|hf|glpat|AKIA|AIza)[-_]?[A-Za-z0-9_-]{12,}"),
    re.compile(
        r"\b(api[-_ ]?key|access[-_ ]?key|secret|token|passw(or)?d|authorization|cookie)"
        r"\s*([:=]|\bis\b)\s*\S+",
        re.IGNORECASE,
    ),
    re.compile(r"\bbearer\s+\S{6,}", re.IGNORECASE),
    re.compile(r"://[^/\s:@]+:[^/\s@]+@"),
)
_LONG_TOKEN: Final = re.compile(r"[A-Za-z0-9+/_=-]{32,}")


class Model(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """An instrument as the committee listed it."""

    model_variant: str
    backend_class: str
    in_weight_bp: int
    """How much a token that goes in counts, against one that comes out."""
    policy: Policy


class Attestation(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """An account's standing word on its backend for one model."""

    account: bytes
    model: bytes
    backend: Backend
    terms_digest: bytes
    terms_version: str
    hardware_digest: bytes
    daily_cap_lots: int
    opted_in_commit: int
    day: int = 0
    used_lots: int = 0
    """Accepted on that day."""


class Compliance:
    """Listed models and live attestations."""

    def __init__(
        self,
        models: Table[Model] | None = None,
        attestations: Table[Attestation] | None = None,
    ) -> None:
        self.models: Final[Table[Model]] = Table() if models is None else models
        self.attestations: Final[Table[Attestation]] = (
            Table() if attestations is None else attestations
        )
        self.contributions: Final[dict[bytes, None]] = {}
        """Models whose terms allow contributions only: what is paid for one is a reward for a
        contribution, not a price. To be read only."""
        self._counts: dict[bytes, int] = {}
        """Attestations by account."""
        self._keys: dict[tuple[bytes, bytes], bytes] = {}
        """Keys of live attestations, by account and model: every offer looks for one."""
        for model, listed in self.models.items():
            self._note_policy(model, listed.policy)
        for key, row in self.attestations.items():
            self._counts[row.account] = self._counts.get(row.account, 0) + 1
            self._keys[row.account, row.model] = key

    def list_model(self, motion: ListMotion) -> None:
        """The committee has spoken on a model."""
        model = Model(
            motion.model_variant, motion.backend_class, motion.in_weight_bp, motion.policy
        )
        self._note_policy(compute_model_id(motion), motion.policy)
        self.models.put(compute_model_id(motion), model)

    def _note_policy(self, model: bytes, policy: Policy) -> None:
        self.contributions.pop(model, None)
        if policy == "contribution_only":
            self.contributions[model] = None

    def get_model(self, model: bytes) -> Model:
        """A listed model. Raises `Refused`."""
        row = self.models.get(model)
        if row is None:
            raise Refused(Code.UNKNOWN_MODEL, "the model is not listed")
        return row

    def attest(self, account: bytes, command: Attest, commit_index: int) -> bytes:
        """Take an account's word. Raises `Refused`."""
        self._check_terms(self.get_model(command.model).policy, command)
        key = compute_attestation_key(account, command.model)
        before = self.attestations.get(key)
        count = self._counts.get(account, 0)
        if before is None and count >= MODELS_PER_ACCOUNT_MAX:
            raise Refused(Code.TOO_MANY, f"an account attests {MODELS_PER_ACCOUNT_MAX} models")
        row = Attestation(
            account,
            command.model,
            command.backend,
            command.terms_digest,
            command.terms_version,
            command.hardware_digest,
            command.daily_cap_lots,
            commit_index,
        )
        if before is None:
            self._counts[account] = count + 1
        else:
            # Attesting anew must not refill the day's cap.
            row.day, row.used_lots = before.day, before.used_lots
        self.attestations.put(key, row)
        self._keys[account, command.model] = key
        return key

    def revoke(self, account: bytes, model: bytes) -> bytes:
        """Forget an account's word. Raises `Refused`."""
        key = self._keys.pop((account, model), None)
        if key is None:
            raise Refused(Code.NOT_ATTESTED, "there is nothing to revoke")
        self.attestations.drop(key)
        self._counts[account] -= 1
        if not self._counts[account]:
            del self._counts[account]
        return key

    def check_trade(self, model: bytes) -> None:
        """Raises `Refused` unless this model may be traded."""
        row = self.models.get(model) or self.get_model(model)
        if row.policy == "forbidden":
            raise Refused(Code.MODEL_FORBIDDEN, "the model's terms forbid it")

    def check_offer(self, account: bytes, model: bytes, *, standing: bool) -> None:
        """Raises `Refused` unless this account may offer this model; `standing` offers renew."""
        policy = (self.models.get(model) or self.get_model(model)).policy
        if policy == "open" and (account, model) in self._keys:
            return
        self.check_trade(model)
        _check_backend(policy, self._get(account, model).backend)
        if standing and policy == "contribution_only":
            raise Refused(Code.MODEL_FORBIDDEN, "single tasks only: its terms allow contribution")

    def use_lots(self, account: bytes, model: bytes, lots: int, time_ms: int) -> None:
        """Count lots that an account accepts against its daily cap. Raises `Refused`."""
        row = self._get(account, model)
        _check_backend(self.get_model(model).policy, row.backend)
        used = self.count_used(row, time_ms)
        if used + lots > row.daily_cap_lots:
            raise Refused(
                Code.DAILY_CAP, f"{used} of {row.daily_cap_lots} lots of the day are taken"
            )
        row = self.attestations.edit(self._keys[account, model])
        row.day, row.used_lots = time_ms // DAY_MS, used + lots

    def count_used(self, row: Attestation, time_ms: int) -> int:
        """How many lots of an attestation's daily cap are taken."""
        return row.used_lots if row.day == time_ms // DAY_MS else 0

    def _get(self, account: bytes, model: bytes) -> Attestation:
        key = self._keys.get((account, model))
        row = None if key is None else self.attestations.get(key)
        if row is None:
            raise Refused(Code.NOT_ATTESTED, "the account has not attested its backend")
        return row

    def _check_terms(self, policy: Policy, command: Attest) -> None:
        if command.shares_credentials:
            raise Refused(Code.SHARES_CREDENTIALS, "tasks are routed, credentials never")
        if not command.opted_in:
            raise Refused(Code.NOT_OPTED_IN, "an account opens its backend by its own choice")
        if len(command.terms_digest) != ID_BYTES or len(command.hardware_digest) != ID_BYTES:
            raise Refused(Code.OUT_OF_RANGE, f"a digest has {ID_BYTES} bytes")
        if not 1 <= command.daily_cap_lots <= DAILY_CAP_MAX:
            raise Refused(Code.OUT_OF_RANGE, f"a daily cap is 1 to {DAILY_CAP_MAX} lots")
        check_text(command.terms_version)
        _check_backend(policy, command.backend)


def compute_attestation_key(account: bytes, model: bytes) -> bytes:
    """Name an attestation by who gave it, and for which model."""
    return compute_digest(ATTESTATION_DOMAIN, account + model)


def compute_model_id(motion: ListMotion) -> bytes:
    """Name an instrument by all that makes it one."""
    content = (motion.model_variant, motion.backend_class, motion.in_weight_bp)
    return compute_digest(MODEL_DOMAIN, encode(content))


def check_listing(motion: ListMotion) -> None:
    """Raises `Refused` for a listing that no model can have."""
    for name in (motion.model_variant, motion.backend_class):
        if not 1 <= len(name) <= NAME_CHARACTERS_MAX:
            raise Refused(Code.OUT_OF_RANGE, f"a name has 1 to {NAME_CHARACTERS_MAX} characters")
        if holds_key(name):
            raise Refused(Code.CREDENTIAL, "a name looks like a credential")
    if not 0 <= motion.in_weight_bp <= BASIS_POINTS:
        raise Refused(Code.OUT_OF_RANGE, f"a weight is 0 to {BASIS_POINTS} basis points")


def check_text(text: str) -> None:
    """Raises `Refused` for a text that is too long or looks like a credential."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise Refused(Code.OUT_OF_RANGE, f"a text has at most {TEXT_CHARACTERS_MAX} characters")
    if looks_like_credential(text):
        raise Refused(Code.CREDENTIAL, "a text looks like a credential")


def looks_like_credential(text: str) -> bool:
    """Whether a text may hold a key, a token or a password; rather once too often."""
    return (
        holds_key(text)
        or any(pattern.search(text) for pattern in _HINTS)
        or any(_is_mixed(match.group()) for match in _LONG_TOKEN.finditer(text))
    )


def holds_key(text: str) -> bool:
    """Whether a text holds what has the form of a key and of nothing else.

    For prose, where `looks_like_credential` would see too much.
    """
    return any(pattern.search(text) for pattern in _KEYS)


def _is_mixed(token: str) -> bool:
    return any(each.isdigit() for each in token) and any(each.isalpha() for each in token)


def _check_backend(policy: Policy, backend: Literal["own_weights", "own_account"]) -> None:
    if policy == "forbidden":
        raise Refused(Code.MODEL_FORBIDDEN, "the model's terms forbid it")
    if policy == "contribution_only" and backend != "own_account":
        raise Refused(Code.WRONG_BACKEND, "only accounts of one's own contribute to this model")
