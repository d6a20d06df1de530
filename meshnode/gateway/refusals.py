"""What the HTTP interface itself refuses, each kind with its status and code."""

from __future__ import annotations

from typing import ClassVar

from meshnode.errors import MeshError


class Refusal(MeshError):
    """A request that the interface does not pass on."""

    code = "invalid_request"
    status: ClassVar[int] = 400

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: int | None = None,
        hint: str = "",
    ) -> None:
        """`param` names the field at fault."""
        super().__init__(message, hint=hint)
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidRequest(Refusal):
    """A body or header that cannot be used."""


class ForbiddenScope(Refusal):
    """A key that may not do this."""

    code = "insufficient_scope"
    status = 403


class UnknownModel(Refusal):
    """A model that nobody reachable serves."""

    code = "model_not_found"
    status = 404


class UnknownResponse(Refusal):
    """A response that is not kept here, or not for this client."""

    code = "response_not_found"
    status = 404


class ReusedKey(Refusal):
    """An Idempotency-Key that came with another body before."""

    code = "idempotency_key_reused"
    status = 422


class TooManyRequests(Refusal):
    """More than this client, or this node, may have."""

    code = "rate_limit_exceeded"
    status = 429
    retryable = True


class SpendingExceeded(Refusal):
    """More than this client may spend."""

    code = "insufficient_ruv"
    status = 402
