"""How an account stands: asked of the provider right now, with one next step for what is wrong."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from meshnode.engines.base import Account, EngineError, HasAccount
from meshnode.engines.http_backend import HttpBackend
from meshnode.engines.registry import create_engine
from meshnode.errors import MeshError
from meshnode.kimi.account import describe_console, explain
from meshnode.kimi_settings import make_engine_options
from meshnode.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.engines.base import Engine
    from meshnode.kimi_settings import KimiSettings

PROBE_TIMEOUT_S: Final = 20.0
CONNECT_TIMEOUT_MS: Final = 5_000
LIMIT_CHARS_MAX: Final = 40
_LIMIT_HEADERS: Final = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


@dataclass(slots=True, kw_only=True)
class Problem:
    """What is wrong, and what to do about it."""

    message: str
    hint: str


@dataclass(slots=True, kw_only=True)
class KimiStatus:
    """What was found; None where it could not be asked."""

    provider: str
    base_url: str
    key: str
    """The reference to the key, never the key."""
    model: str
    latency_ms: int | None = None
    """Of a request for the list of models."""
    models: list[str] = field(default_factory=list)
    account: Account | None = None
    limits: dict[str, str] = field(default_factory=dict)
    """Rate-limit headers of that request, where the provider sends them."""
    spent_today_udollar: int | None = None
    daily_cap_udollar: int | None = None
    problems: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The status for programs."""
        return {"schema": "meshnode.kimi-status/1", **asdict(self)}


async def read_status(settings: KimiSettings, key: Secret | None) -> KimiStatus:
    """Ask the provider how the account stands. What fails is a problem of the status."""
    status = KimiStatus(
        provider=settings.provider,
        base_url=settings.base_url,
        key=settings.api_key,
        model=settings.model,
        daily_cap_udollar=settings.daily_cap_udollar,
    )
    try:
        await _ask_models(status, settings, key)
    except EngineError as error:
        _add(status, explain(error, settings))
    else:
        await _ask_account(status, settings, key)
    if settings.model != "auto" and status.models and settings.model not in status.models:
        status.problems.append(
            Problem(
                message=f"the configured model {settings.model} is not offered",
                hint="`meshnode kimi models` lists what is; `meshnode kimi configure --model auto` "
                "takes the newest",
            )
        )
    return status


async def _ask_models(status: KimiStatus, settings: KimiSettings, key: Secret | None) -> None:
    """List the models over a connection of its own, whose time and headers are looked at."""
    backend = HttpBackend(
        settings.base_url,
        key or Secret(""),
        connections_max=1,
        connect_timeout_ms=CONNECT_TIMEOUT_MS,
    )
    backend.open()
    deadline = asyncio.get_running_loop().time() + PROBE_TIMEOUT_S
    started_s = time.monotonic()
    try:
        response = await backend.send("GET", "models", deadline=deadline)
        status.latency_ms = int((time.monotonic() - started_s) * 1_000)
        status.limits = _read_limits(response.headers)
        response.close()
    finally:
        await backend.close()


def _read_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """Rate limits as the provider words them, bounded; the clock among them is its own."""
    found = {}
    for name in _LIMIT_HEADERS:
        for suffix in ("", "-requests", "-tokens"):
            text = headers.get(f"{name}{suffix}", "")
            if text and text.isprintable():
                found[f"{name.removeprefix('x-ratelimit-')}{suffix}"] = text[:LIMIT_CHARS_MAX]
    return found


async def _ask_account(status: KimiStatus, settings: KimiSettings, key: Secret | None) -> None:
    """Models as the engine reads them, and the balance where the provider tells one."""
    options = make_engine_options(settings)
    options.pop("api_key", None)
    if key is not None:
        options["api_key"] = key
    engine: Engine = await asyncio.to_thread(create_engine, settings.provider, options)
    try:
        await engine.start()
        status.models = [model.id for model in await engine.models()]
        if isinstance(engine, HasAccount):
            status.account = await engine.read_account()
            _check_account(status, settings)
    except EngineError as error:
        _add(status, explain(error, settings))
    finally:
        await engine.close()


def _check_account(status: KimiStatus, settings: KimiSettings) -> None:
    account = status.account
    if account is None or account.available_micro is None or account.available_micro > 0:
        return
    status.problems.append(
        Problem(
            message="the account has nothing left, so the provider answers no questions",
            hint=f"top it up at {describe_console(settings)}",
        )
    )


def _add(status: KimiStatus, error: Exception) -> None:
    assert isinstance(error, MeshError), "explained errors stay errors of this program"
    status.problems.append(Problem(message=error.message, hint=error.hint))
