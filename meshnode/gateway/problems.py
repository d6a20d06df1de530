"""Errors over HTTP: `{"error": {"code", "message", "hint"}}`, and back to the classes they were."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dag.errors import InvalidMessage
from market.errors import Code
from market.orders import Code as OrderCode
from meshnode.blobs.errors import BlobQuotaFull, NoSuchBlob
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    CommandRejected,
    ConfigError,
    CorruptJournal,
    DeadlineExceeded,
    DialFailed,
    KeystoreError,
    MalformedMessage,
    MarketRefused,
    MeshError,
    NoDaemon,
    NodeClosed,
    NoPeerServes,
    PeerGone,
    PolicyRefused,
    StorageError,
    StreamReset,
    TransportError,
    Unavailable,
)
from meshnode.gateway.port import NotReady
from meshnode.together.errors import TooFewAnswers
from meshnode.trading.errors import NoOffer, NotEnoughRuv

# The first that fits; most special first.
_STATUS: Final[tuple[tuple[type[MeshError], int], ...]] = (
    (NotReady, 503),
    (NodeClosed, 503),
    (AnswerInterrupted, 502),
    (TooFewAnswers, 502),
    (PolicyRefused, 403),
    (NoPeerServes, 503),
    (NotEnoughRuv, 402),
    (NoOffer, 409),
    (NoSuchBlob, 404),
    (BlobQuotaFull, 507),
    (DeadlineExceeded, 504),
    (InvalidMessage, 400),
    (CommandRejected, 400),
    (ConfigError, 400),
    (TransportError, 502),
    (StorageError, 500),
)
_FAULT_STATUS: Final = {
    EngineFault.BAD_REQUEST: 400,
    EngineFault.CONTEXT_OVERFLOW: 400,
    EngineFault.MODEL_NOT_FOUND: 404,
    EngineFault.OVERLOADED: 503,
    EngineFault.RATE_LIMITED: 429,
    EngineFault.TIMEOUT: 504,
}
_CLASSES: Final[dict[str, type[MeshError]]] = {
    kind.code: kind
    for kind in (
        MeshError,
        BlobQuotaFull,
        CommandRejected,
        ConfigError,
        CorruptJournal,
        DeadlineExceeded,
        DialFailed,
        KeystoreError,
        MalformedMessage,
        NoDaemon,
        NoOffer,
        NodeClosed,
        NoPeerServes,
        NoSuchBlob,
        NotEnoughRuv,
        NotReady,
        PeerGone,
        PolicyRefused,
        StorageError,
        StreamReset,
        TooFewAnswers,
        TransportError,
        Unavailable,
    )
}


_REFUSED_STATUS: Final = {
    Code.MALFORMED: 400,
    Code.OUT_OF_RANGE: 400,
    Code.CREDENTIAL: 400,
    Code.INSUFFICIENT_FUNDS: 402,
    Code.INSUFFICIENT_STAKE: 402,
    Code.NOT_IN_COMMITTEE: 403,
    Code.FOREIGN_CONTRACT: 403,
    OrderCode.FOREIGN_ORDER: 403,
    Code.UNKNOWN_MODEL: 404,
    Code.UNKNOWN_CONTRACT: 404,
    Code.UNKNOWN_WINDOW: 404,
    OrderCode.UNKNOWN_ORDER: 404,
    Code.RATE_LIMITED: 429,
    Code.TOO_MANY: 429,
    Code.DAILY_CAP: 429,
}
"""By code of a refused command; what is not here contradicts the market as it stands: 409."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, why, and the next step."""

    code: str
    message: str
    hint: str
    fault: str | None = None
    """Of an engine's error: what kind it is."""
    retry_after_ms: int | None = None
    text: str | None = None
    """Of an answer that broke off: what had come."""
    reason: str | None = None
    """Of a refusal by the market: its code."""


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The form of every error of the node's own interface."""

    error: Problem


class OpenAIProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, as clients of OpenAI read it."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The form of every error below `/v1`."""

    error: OpenAIProblem


def get_http_status(error: MeshError) -> int:
    """The HTTP status that says what kind of failure this is."""
    if isinstance(error, MarketRefused):
        return next((s for code, s in _REFUSED_STATUS.items() if code == error.reason), 409)
    if isinstance(error, EngineError):
        return _FAULT_STATUS.get(error.fault, 502)
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def get_retry_after_s(error: MeshError) -> int | None:
    """Whole seconds after which to try again, where that is known."""
    if isinstance(error, EngineError) and error.retry_after_ms is not None:
        return -(-error.retry_after_ms // 1_000)
    return 1 if isinstance(error, NotReady) else None


def make_problem(error: MeshError) -> dict[str, Any]:
    """The JSON form of an error."""
    problem: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, EngineError):
        problem["fault"] = error.fault.value
        problem["retry_after_ms"] = error.retry_after_ms
    if isinstance(error, AnswerInterrupted):
        problem["text"] = error.text
    if isinstance(error, MarketRefused):
        problem["reason"] = error.reason
    return {"error": problem}


def read_problem(data: object) -> MeshError:
    """The error a JSON form stands for; one this version does not know is a plain `MeshError`."""
    problem = data.get("error") if isinstance(data, dict) else None
    if not isinstance(problem, dict) or not isinstance(problem.get("message"), str):
        return MeshError("the node answered with an error of unknown form")
    message, hint = problem["message"], str(problem.get("hint") or "")
    if problem.get("code") == EngineError.code:
        return _read_engine_error(problem, message, hint)
    if problem.get("code") == MarketRefused.code:
        return MarketRefused(message, reason=str(problem.get("reason") or ""), hint=hint)
    if problem.get("code") == AnswerInterrupted.code:
        return AnswerInterrupted(message, text=str(problem.get("text") or ""), hint=hint)
    return _CLASSES.get(str(problem.get("code")), MeshError)(message, hint=hint)


def _read_engine_error(problem: dict[str, Any], message: str, hint: str) -> EngineError:
    try:
        fault = EngineFault(str(problem.get("fault")))
    except ValueError:
        fault = EngineFault.INTERNAL
    retry_after_ms = problem.get("retry_after_ms")
    return EngineError(
        fault,
        message,
        retry_after_ms=retry_after_ms if isinstance(retry_after_ms, int) else None,
        hint=hint,
    )
