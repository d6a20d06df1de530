"""Sampling fields, the cap on an answer, and its stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshnode.engines.http_options import FixedField
from meshnode.engines.request import bad_request

if TYPE_CHECKING:
    from meshnode.engines.capabilities import Capabilities
    from meshnode.engines.rules.draft import Draft

STOPS_MAX = 5
STOP_BYTES_MAX = 32
CAP_FIELDS = ("max_completion_tokens", "max_tokens")
"""The first wins where a request has both."""


def apply_fixed_sampling(draft: Draft, known: Capabilities, rule: FixedField) -> None:
    """Leave out what the model does not let one set; a value it has anyway is no loss."""
    for name, values in known.sampling.items():
        value = draft.get(name)
        if value is None or value in values:
            draft.omit(name)
            continue
        if rule is FixedField.REFUSE or name == "n":  # fewer answers than asked for: no detail
            raise bad_request(
                f"'{name}' of {draft.model} is fixed at {values[-1]:g}, and {_show(value)} was asked for",
                hint=f"leave '{name}' out, or choose another model",
            )
        draft.omit(name)
        draft.note(
            "fixed_sampling", name, f"{_show(value)} was left out: the model fixes this value"
        )


def apply_default_temperature(draft: Draft, known: Capabilities) -> None:
    """The family's own temperature where a request sets none."""
    if draft.get("temperature") is None and known.temperature_default is not None:
        draft.fields["temperature"] = known.temperature_default


def apply_temperature(draft: Draft, known: Capabilities, rule: FixedField) -> None:
    """The family's own temperature where a request sets none, and its highest where it exceeds."""
    value = draft.get("temperature")
    if value is None:
        draft.omit("temperature")
        apply_default_temperature(draft, known)
        return
    limit = known.temperature_max
    if limit is None or isinstance(value, bool) or not isinstance(value, int | float):
        return
    if value > limit:
        if rule is FixedField.REFUSE:
            raise bad_request(f"'temperature' of {draft.model} goes up to {limit:g}")
        draft.fields["temperature"] = limit
        draft.note("temperature_range", "temperature", f"{_show(value)} became {limit:g}")


def apply_answer_cap(draft: Draft, *, field: str, default: int) -> None:
    """Put the cap on the answer where the service reads it; `default` where a request sets none.

    Asked for, a cap keeps its value. 0 sets none.
    """
    caps = [draft.get(name) for name in CAP_FIELDS if draft.get(name) is not None]
    for name in CAP_FIELDS:
        draft.omit(name)
    if not caps:
        if default:
            draft.fields[field] = default
            draft.caps_by_default = True
            draft.note("answer_cap", field, f"set to {default}, because the request sets none")
        return
    cap = caps[0]
    if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
        raise bad_request("the cap on the answer is not a positive whole number")
    if len(caps) > 1 and caps[1] != cap:
        draft.note("answer_cap", field, f"{cap} was sent, and 'max_tokens' {_show(caps[1])} not")
    draft.fields[field] = cap


def check_stops(draft: Draft) -> None:
    """Refuse more or longer stops than the service takes."""
    stops = draft.get("stop")
    if stops is None:
        draft.omit("stop")
        return
    texts = [stops] if isinstance(stops, str) else stops
    if (
        not isinstance(texts, list)
        or len(texts) > STOPS_MAX
        or not all(isinstance(text, str) for text in texts)
        or any(len(text.encode(errors="replace")) > STOP_BYTES_MAX for text in texts)
    ):
        raise bad_request(
            f"'stop' may be up to {STOPS_MAX} texts of up to {STOP_BYTES_MAX} bytes each"
        )


def _show(value: Any) -> str:
    return str(value)[:40]
