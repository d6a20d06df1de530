"""What a backend's refusal means: from status, body and headers to one `EngineError`.

Servers of the OpenAI dialect agree on the status codes and on little else: the reason stands in
`error.type`, in `error.code`, in plain words, or nowhere (an HTML page of a proxy). All of it is
foreign text, so it is shortened, put on one line and cleared of anything that looks like a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.options import DAY_MS
from meshnode.engines.request_ids import read_request_id
from meshnode.secret import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.secret import Secret

REASON_CHARS_MAX = 300

_BY_STATUS = {
    401: EngineFault.UNAUTHORIZED,
    402: EngineFault.OUT_OF_QUOTA,
    403: EngineFault.FORBIDDEN,
    404: EngineFault.MODEL_NOT_FOUND,
    408: EngineFault.TIMEOUT,
    503: EngineFault.OVERLOADED,
    504: EngineFault.TIMEOUT,
    524: EngineFault.TIMEOUT,
    529: EngineFault.OVERLOADED,
}

_BY_WORD = {
    "content_filter": EngineFault.CONTENT_FILTER,
    "content_policy_violation": EngineFault.CONTENT_FILTER,
    "context_length_exceeded": EngineFault.CONTEXT_OVERFLOW,
    "engine_overloaded_error": EngineFault.OVERLOADED,
    "exceed_context_size_error": EngineFault.CONTEXT_OVERFLOW,
    "exceeded_current_quota_error": EngineFault.OUT_OF_QUOTA,
    "incorrect_api_key_error": EngineFault.UNAUTHORIZED,
    "insufficient_quota": EngineFault.OUT_OF_QUOTA,
    "invalid_api_key": EngineFault.UNAUTHORIZED,
    "invalid_authentication_error": EngineFault.UNAUTHORIZED,
    "invalid_request_error": EngineFault.BAD_REQUEST,
    "model_not_found": EngineFault.MODEL_NOT_FOUND,
    "overloaded_error": EngineFault.OVERLOADED,
    "permission_denied_error": EngineFault.FORBIDDEN,
    "rate_limit_error": EngineFault.RATE_LIMITED,
    "rate_limit_exceeded": EngineFault.RATE_LIMITED,
    "rate_limit_reached_error": EngineFault.RATE_LIMITED,
    "resource_not_found_error": EngineFault.MODEL_NOT_FOUND,
    "server_unavailable": EngineFault.OVERLOADED,
    "unavailable_error": EngineFault.OVERLOADED,
}

_OVERFLOW = re.compile(
    r"model token limit|maximum context|context (length|size|window)|too many tokens"
    r"|prompt is too long|input is too long",
    re.IGNORECASE,
)
_OVERLOAD = re.compile(r"overload|at capacity|too busy|queue is full", re.IGNORECASE)
_QUOTA = re.compile(r"current quota|insufficient (quota|balance|credit)|billing", re.IGNORECASE)

_MODERATION = re.compile(r"moderation|flagged", re.IGNORECASE)
_DAILY = re.compile(r"\bTPD\b|\bRPD\b|per[- ]day", re.IGNORECASE)

_HINTS = {
    EngineFault.UNAUTHORIZED: "check the API key of this engine",
    EngineFault.FORBIDDEN: "check what this API key may use",
    EngineFault.MODEL_NOT_FOUND: "check the model's name, and that the base URL ends in /v1",
    EngineFault.OUT_OF_QUOTA: "check the balance of the account behind this engine",
    EngineFault.CONTEXT_OVERFLOW: "shorten the conversation",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A backend's error object, read without trusting its shape."""

    status: int
    words: tuple[str, ...]
    """What it gives as type and code, lower case."""
    message: str

    @property
    def fault(self) -> EngineFault:
        """The refusal in words a router can act on."""
        if self.status == 403 and _MODERATION.search(self.message):
            return EngineFault.CONTENT_FILTER  # this prompt is refused, not this model
        if self.status in _BY_STATUS:
            return _BY_STATUS[self.status]
        if self.status == 429:
            return self._fault_of_limit()
        if self.status >= 500:
            return EngineFault.INTERNAL
        return self._fault_of_request()

    def _fault_of_limit(self) -> EngineFault:
        for word in self.words:
            fault = _BY_WORD.get(word)
            if fault in (EngineFault.OVERLOADED, EngineFault.OUT_OF_QUOTA):
                return fault
        if _OVERLOAD.search(self.message):
            return EngineFault.OVERLOADED
        if _QUOTA.search(self.message):
            return EngineFault.OUT_OF_QUOTA
        return EngineFault.RATE_LIMITED

    def _fault_of_request(self) -> EngineFault:
        faults = [_BY_WORD[word] for word in self.words if word in _BY_WORD]
        precise = [fault for fault in faults if fault is not EngineFault.BAD_REQUEST]
        if precise:
            return precise[0]
        if _OVERFLOW.search(self.message):
            return EngineFault.CONTEXT_OVERFLOW
        if faults or 400 <= self.status < 500:
            return EngineFault.BAD_REQUEST
        return EngineFault.INTERNAL


def error_from_response(
    backend: str, status: int, headers: Mapping[str, str], body: bytes, *, secret: Secret
) -> EngineError:
    """The error for a response whose status is not 200."""
    if 300 <= status < 400:
        return EngineError(
            EngineFault.UNREACHABLE,
            f"{backend} answered {status}, a redirect, which is never followed",
            hint="set the base URL to the final address",
        )
    refusal = read_refusal(_decode(body), status=status)
    retry_after_ms = read_retry_after_ms(headers)
    if retry_after_ms is None and status == 429:
        retry_after_ms = _read_reset_ms(refusal, headers)
    error = _error(backend, refusal, secret, retry_after_ms=retry_after_ms)
    request_id = one_line(read_request_id(headers), secret)
    if request_id:
        error.message += f" (request {request_id})"
    return error


def _read_reset_ms(refusal: Refusal, headers: Mapping[str, str]) -> int | None:
    """When a limit ends, where no `Retry-After` says it: a daily one with its day."""
    reset_ms = _wait_until_reset_ms(headers)
    if reset_ms is None and says_daily(refusal.message):
        now_s = _read_date_s(headers)
        return None if now_s is None else DAY_MS - int(now_s * 1_000) % DAY_MS
    return reset_ms


def _wait_until_reset_ms(headers: Mapping[str, str]) -> int | None:
    """The wait in `X-RateLimit-Reset`: a time in s or ms since 1970, or seconds from now."""
    try:
        reset = float(headers.get("X-RateLimit-Reset", ""))
    except ValueError:
        return None
    if not 0 <= reset < 10**14:  # NaN fails, too
        return None
    if reset < 10**9:
        return min(int(reset * 1_000), DAY_MS)
    now_s = _read_date_s(headers)
    if now_s is None:
        return None
    until_s = reset / 1_000 if reset >= 10**11 else reset
    return min(max(int((until_s - now_s) * 1_000), 0), DAY_MS)


def _read_date_s(headers: Mapping[str, str]) -> float | None:
    """The backend's own clock, in seconds since 1970."""
    try:
        return parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def says_daily(message: str) -> bool:
    """Whether a limit is one for a day."""
    return _DAILY.search(message) is not None


def error_from_object(backend: str, payload: Any, *, secret: Secret) -> EngineError:
    """The error for an error object that came in place of an answer."""
    return _error(backend, read_refusal(payload), secret, retry_after_ms=None)


def _error(
    backend: str, refusal: Refusal, secret: Secret, *, retry_after_ms: int | None
) -> EngineError:
    fault = refusal.fault
    said = one_line(refusal.message, secret) or "no reason"
    status = f" {refusal.status}" if refusal.status else " an error"
    return EngineError(
        fault,
        f"{backend} answered{status}: {said}",
        retry_after_ms=retry_after_ms,
        hint=_HINTS.get(fault, ""),
    )


def read_refusal(payload: Any, *, status: int = 0) -> Refusal:
    """The refusal in a JSON value or text of any shape; `status` 0 reads it from the value."""
    inner = payload.get("error", payload) if isinstance(payload, dict) else payload
    if not isinstance(inner, dict):
        return Refusal(status, (), inner if isinstance(inner, str) else "")
    words = tuple(str(inner[key]).lower()[:100] for key in ("type", "code") if inner.get(key))
    message = next(
        (inner[key] for key in ("message", "detail", "msg") if isinstance(inner.get(key), str)), ""
    )
    return Refusal(status or _status_in(inner), words, message or " ".join(words))


def _status_in(inner: Mapping[str, Any]) -> int:
    for key in ("code", "status", "status_code"):
        text = str(inner.get(key))
        if len(text) == 3 and text.isascii() and text.isdigit() and text >= "400":
            return int(text)
    return 0


def _decode(body: bytes) -> Any:
    """The body as JSON, or as text, or as the name of what it is."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        text = body.decode(errors="replace").strip()
        return "an HTML page" if text[:1] == "<" else text


def one_line(text: str, secret: Secret) -> str:
    """Foreign text made fit for an error line: one line, short, without keys."""
    printable = "".join(
        char if char.isprintable() else " " for char in text[: 4 * REASON_CHARS_MAX]
    )
    line = redact(" ".join(printable.split()), secret)
    return line if len(line) <= REASON_CHARS_MAX else line[: REASON_CHARS_MAX - 3] + "..."


def read_retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """When to come back, from `Retry-After-Ms` or `Retry-After` (seconds or a date)."""
    for name, unit_ms in (("Retry-After-Ms", 1), ("Retry-After", 1_000)):
        try:
            wait_ms = float(headers.get(name, "")) * unit_ms
        except ValueError:
            continue
        if 0 <= wait_ms <= DAY_MS:
            return int(wait_ms)
    return _wait_until_date_ms(headers)


def _wait_until_date_ms(headers: Mapping[str, str]) -> int | None:
    """The wait that a date means, measured by the backend's own clock, its `Date` header."""
    try:
        until = parsedate_to_datetime(headers.get("Retry-After", ""))
        now = parsedate_to_datetime(headers.get("Date", ""))
        wait_ms = int((until - now).total_seconds() * 1_000)
    except (TypeError, ValueError):
        return None
    return min(max(wait_ms, 0), DAY_MS)
