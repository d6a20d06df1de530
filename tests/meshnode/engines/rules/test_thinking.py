"""One wish about thinking in four forms, and what each service is told."""

from __future__ import annotations

import pytest

from meshnode.engines.base import EngineError
from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.http_options import FixedField
from meshnode.engines.rules.draft import Draft
from meshnode.engines.rules.thinking import (
    Wish,
    apply_moonshot_thinking,
    apply_openrouter_thinking,
    apply_template_thinking,
    take_wish,
    will_think,
)

OMIT, REFUSE = FixedField.OMIT, FixedField.REFUSE
K2 = find_capabilities("kimi-k2")
K26 = find_capabilities("kimi-k2.6")
CODE = find_capabilities("kimi-k2.7-code")
K3 = find_capabilities("kimi-k3")
NEW = find_capabilities("kimi-x9")
OTHER = find_capabilities("llama")
OFF = [
    {"thinking": {"type": "disabled"}},
    {"reasoning": {"enabled": False}},
    {"reasoning_effort": "none"},
    {"chat_template_kwargs": {"thinking": False}},
]
WORDS = ("thinking", "reasoning", "reasoning_effort", "chat_template_kwargs")


def draft(fields):
    return Draft({"messages": [{"role": "user", "content": "hi"}], **fields}, model="m")


def told(made):
    return {name: made.fields[name] for name in WORDS if name in made.fields}


@pytest.mark.parametrize("fields", OFF)
def test_every_form_is_understood_by_every_service(fields):
    moonshot, openrouter, template = draft(fields), draft(fields), draft(fields)
    apply_moonshot_thinking(moonshot, K26, REFUSE)
    apply_openrouter_thinking(openrouter, K26, REFUSE)
    apply_template_thinking(template, K26, {}, REFUSE)
    assert told(moonshot) == {"thinking": {"type": "disabled"}}
    assert told(openrouter)["reasoning"]["enabled"] is False
    assert template.fields["chat_template_kwargs"]["thinking"] is False
    assert not will_think(draft(fields), K26)
    assert will_think(draft(fields), K3)


def test_no_wish_says_nothing():
    made = draft({})
    apply_moonshot_thinking(made, K26, OMIT)
    apply_openrouter_thinking(made, K26, OMIT)
    apply_template_thinking(made, K26, {}, OMIT)
    assert told(made) == {}
    assert take_wish(made) == Wish()
    assert will_think(made, K26)
    assert not will_think(made, K2)


def test_keep_is_kept():
    made = draft({"thinking": {"type": "enabled", "keep": "all"}})
    apply_moonshot_thinking(made, K26, OMIT)
    assert told(made) == {"thinking": {"type": "enabled", "keep": "all"}}


@pytest.mark.parametrize(
    ("effort", "sent", "noted"),
    [
        ("low", "low", 0),
        ("max", "max", 0),
        ("medium", "high", 1),
        ("minimal", "low", 1),
        ("extreme", "max", 1),
    ],
)
def test_effort_is_one_the_family_has(effort, sent, noted):
    made = draft({"reasoning": {"effort": effort}})
    apply_moonshot_thinking(made, K3, REFUSE)
    assert told(made) == {"reasoning_effort": sent}
    assert len(made.notes) == noted


def test_effort_goes_to_openrouter_as_it_is():
    made = draft({"reasoning_effort": "medium", "reasoning": {"exclude": True}})
    apply_openrouter_thinking(made, K3, OMIT)
    assert told(made) == {"reasoning": {"exclude": True, "effort": "medium"}}


@pytest.mark.parametrize(
    ("known", "fields", "words"),
    [
        (CODE, OFF[0], "always"),
        (K3, OFF[2], "always"),
        (K2, {"thinking": {"type": "enabled"}}, "does not think"),
        (K26, {"reasoning_effort": "high"}, "no efforts"),
    ],
)
@pytest.mark.parametrize("apply", [apply_moonshot_thinking, apply_openrouter_thinking])
def test_wish_that_cannot_be_met_is_noted_or_refused(known, fields, words, apply):
    made = draft(fields)
    apply(made, known, OMIT)
    assert words in made.notes[0].detail
    with pytest.raises(EngineError, match=words):
        apply(draft(fields), known, REFUSE)


def test_always_thinking_model_is_not_told_to_stop_by_openrouter():
    made = draft({"reasoning": {"enabled": False, "effort": "low"}})
    apply_openrouter_thinking(made, K3, OMIT)
    assert told(made) == {}


@pytest.mark.parametrize("known", [NEW, OTHER])
@pytest.mark.parametrize("apply", [apply_moonshot_thinking, apply_openrouter_thinking])
def test_model_the_table_does_not_know_gets_everything_as_it_is(known, apply):
    fields = {"thinking": {"type": "x"}, "reasoning_effort": "odd"}
    made = draft(fields)
    apply(made, known, REFUSE)
    assert told(made) == fields


def test_template_settings_of_the_operator_yield_to_the_request():
    made = draft({"chat_template_kwargs": {"b": 2}})
    apply_template_thinking(made, OTHER, {"a": 1, "b": 1}, OMIT)
    assert told(made) == {"chat_template_kwargs": {"a": 1, "b": 2}}
