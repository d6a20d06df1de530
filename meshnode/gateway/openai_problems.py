"""Errors as clients of OpenAI read them: `{"error": {"message", "type", "param", "code"}}`.

Their SDK tries 408, 409, 429 and 5xx again by itself; so money is 402, a lasting conflict never
409, and `x-should-retry: false` stands where trying again cannot help.
"""

from __future__ import annotations

from typing import Any, Final

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import MarketRefused, MeshError, NoPeerServes
from meshnode.gateway.port import NotReady
from meshnode.gateway.problems import get_http_status, get_retry_after_s
from meshnode.gateway.refusals import Refusal
from meshnode.trading.errors import NoOffer, NotEnoughRuv

OPENAI_PREFIX: Final = "/v1/"
_TYPES: Final = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
    503: "service_unavailable",
    504: "timeout_error",
}
_CODES: Final = {
    EngineFault.CONTEXT_OVERFLOW: "context_length_exceeded",
    EngineFault.MODEL_NOT_FOUND: "model_not_found",
    EngineFault.RATE_LIMITED: "rate_limit_exceeded",
    EngineFault.CONTENT_FILTER: "content_filter",
}
_STATUS: Final = {
    EngineFault.CONTENT_FILTER: 400,
    EngineFault.FORBIDDEN: 403,
}
_LASTING: Final = frozenset({EngineFault.OUT_OF_QUOTA, EngineFault.UNAUTHORIZED})
"""Faults of a provider's own account: the same question meets them again."""


def get_openai_status(error: MeshError) -> int:
    """The HTTP status for clients of OpenAI."""
    if isinstance(error, Refusal):
        return error.status
    if isinstance(error, NoOffer | NotEnoughRuv):
        return 402
    if isinstance(error, EngineError) and error.fault in _STATUS:
        return _STATUS[error.fault]
    status = get_http_status(error)
    return 400 if status == 409 else status


def make_openai_problem(error: MeshError, *, status: int | None = None) -> dict[str, Any]:
    """The JSON form of an error, whose status is another where HTTP itself refused."""
    status = status or get_openai_status(error)
    default = "server_error" if status >= 500 else "invalid_request_error"
    problem: dict[str, Any] = {
        "message": f"{error.message}; {error.hint}" if error.hint else error.message,
        "type": _TYPES.get(status, default),
        "param": error.param if isinstance(error, Refusal) else None,
        "code": _find_code(error),
    }
    if isinstance(error, NotReady) and error.phase:
        problem["phase"] = error.phase
    return {"error": problem}


def make_openai_headers(error: MeshError) -> dict[str, str]:
    """When to come back, and whether to."""
    headers: dict[str, str] = {}
    wait_s = error.retry_after_s if isinstance(error, Refusal) else get_retry_after_s(error)
    if wait_s is None and isinstance(error, NoPeerServes):
        wait_s = 1
    if wait_s is not None:
        headers["Retry-After"] = str(wait_s)
    if isinstance(error, EngineError) and error.fault in _LASTING:
        headers["x-should-retry"] = "false"
    return headers


def _find_code(error: MeshError) -> str:
    if isinstance(error, NotEnoughRuv):
        return "insufficient_ruv"
    if isinstance(error, EngineError):
        return _CODES.get(error.fault, error.fault.value)
    if isinstance(error, MarketRefused):
        return error.reason
    return error.code
