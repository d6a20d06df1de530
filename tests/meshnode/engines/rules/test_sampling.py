"""Sampling fields, caps and stops, family by family."""

from __future__ import annotations

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.http_options import FixedField
from meshnode.engines.rules.draft import NOTES_MAX, Draft
from meshnode.engines.rules.sampling import (
    apply_answer_cap,
    apply_default_temperature,
    apply_fixed_sampling,
    apply_temperature,
    check_stops,
)

OMIT, REFUSE = FixedField.OMIT, FixedField.REFUSE
K2 = find_capabilities("kimi-k2-0905-preview")
K26 = find_capabilities("kimi-k2.6")
OTHER = find_capabilities("llama-9")


def draft(**fields):
    return Draft({"messages": [{"role": "user", "content": "hi"}], **fields}, model="m")


@pytest.mark.parametrize("value", [None, 1.0, 1, 0.6])
def test_value_that_the_model_has_anyway_is_left_out_without_a_note(value):
    made = draft(temperature=value, top_p=0.95, n=1)
    apply_fixed_sampling(made, K26, REFUSE)
    assert not {"temperature", "top_p", "n"} & made.fields.keys()
    assert made.notes == []


def test_other_value_is_left_out_with_a_note():
    made = draft(temperature=0.3, frequency_penalty=1)
    apply_fixed_sampling(made, K26, OMIT)
    assert not {"temperature", "frequency_penalty"} & made.fields.keys()
    assert [(note.rule, note.field) for note in made.notes] == [
        ("fixed_sampling", "temperature"),
        ("fixed_sampling", "frequency_penalty"),
    ]
    assert "0.3" in made.notes[0].detail


@pytest.mark.parametrize(
    ("rule", "fields"), [(REFUSE, {"temperature": 0.3}), (OMIT, {"n": 2}), (REFUSE, {"n": 2})]
)
def test_other_value_is_refused_by_rule_and_fewer_answers_always(rule, fields):
    with pytest.raises(EngineError) as caught:
        apply_fixed_sampling(draft(**fields), K26, rule)
    assert caught.value.fault is EngineFault.BAD_REQUEST


def test_families_without_fixed_values_keep_what_was_set():
    made = draft(temperature=1.9, top_p=0.1)
    apply_fixed_sampling(made, OTHER, REFUSE)
    apply_temperature(made, OTHER, REFUSE)
    assert (made.fields["temperature"], made.fields["top_p"]) == (1.9, 0.1)


@pytest.mark.parametrize(
    ("asked", "sent", "noted"), [(None, 0.6, 0), (0.2, 0.2, 0), (1.5, 1.0, 1), ("hot", "hot", 0)]
)
def test_temperature_has_a_default_and_a_range(asked, sent, noted):
    made = draft(temperature=asked)
    apply_temperature(made, K2, OMIT)
    assert made.fields["temperature"] == sent
    assert len(made.notes) == noted


def test_temperature_beyond_its_range_is_refused_by_rule():
    with pytest.raises(EngineError, match="up to 1"):
        apply_temperature(draft(temperature=1.5), K2, REFUSE)


def test_default_temperature_is_for_families_that_have_one():
    made, other = draft(), draft()
    apply_default_temperature(made, K2)
    apply_default_temperature(other, OTHER)
    assert made.fields["temperature"] == 0.6
    assert "temperature" not in other.fields


@pytest.mark.parametrize(
    ("fields", "cap", "noted"),
    [
        ({"max_tokens": 5}, 5, 0),
        ({"max_completion_tokens": 6}, 6, 0),
        ({"max_completion_tokens": 6, "max_tokens": 6}, 6, 0),
        ({"max_completion_tokens": 6, "max_tokens": 9}, 6, 1),
        ({"max_tokens": None}, 70, 1),
    ],
)
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_cap_stands_in_the_field_the_service_reads(fields, cap, noted, field):
    made = draft(**fields)
    apply_answer_cap(made, field=field, default=70)
    present = {name: made.fields[name] for name in made.fields if name.startswith("max_")}
    assert present == {field: cap}
    assert len(made.notes) == noted


def test_no_cap_is_set_where_there_is_no_default():
    made = draft()
    apply_answer_cap(made, field="max_tokens", default=0)
    assert "max_tokens" not in made.fields


@pytest.mark.parametrize("cap", [0, -1, "9", 1.5, True])
def test_cap_that_is_no_count_is_refused(cap):
    with pytest.raises(EngineError, match="cap"):
        apply_answer_cap(draft(max_tokens=cap), field="max_tokens", default=1)


@pytest.mark.parametrize("stop", [None, "x", ["x"] * 5, ["é" * 16], []])
def test_stops_within_the_limits_pass(stop):
    made = draft(stop=stop)
    check_stops(made)
    assert made.get("stop") == stop


@pytest.mark.parametrize("stop", [["x"] * 6, ["x" * 33], "é" * 17, [5], {"a": 1}])
def test_stops_beyond_the_limits_are_refused(stop):
    with pytest.raises(EngineError, match="32 bytes"):
        check_stops(draft(stop=stop))


def test_notes_are_bounded():
    made = draft()
    for number in range(NOTES_MAX + 5):
        made.note("rule", "field", str(number))
    assert len(made.notes) == NOTES_MAX
    assert made.notes[0].as_json() == {"rule": "rule", "field": "field", "detail": "0"}


def test_request_itself_is_never_changed():
    request = {"messages": [], "temperature": 0.3, "meshnode": {"x": 1}}
    made = Draft(request, model="m")
    apply_fixed_sampling(made, K26, OMIT)
    assert request == {"messages": [], "temperature": 0.3, "meshnode": {"x": 1}}
    assert made.wishes == {"x": 1}
    assert "meshnode" not in made.fields
    with pytest.raises(EngineError, match="messages"):
        _ = made.messages
