"""Families by the start of a name, however a provider spells it."""

from __future__ import annotations

import pytest

from meshnode.engines.base import ModelInfo
from meshnode.engines.capabilities import Thinking, find_capabilities
from meshnode.engines.model_additions import choose_newest_kimi, describe_kimi


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("kimi-k2-0711-preview", "kimi-k2"),
        ("moonshotai/Kimi-K2-Instruct-0905", "kimi-k2"),
        ("moonshotai/kimi-k2:free", "kimi-k2"),
        ("/models/kimi-k2.6/", "kimi-k2."),
        ("kimi-k2.5", "kimi-k2."),
        ("kimi-k2-thinking-turbo", "kimi-k2-thinking"),
        ("kimi-k2.7-code-highspeed", "kimi-k2.7-code"),
        ("kimi-k3-0716", "kimi-k3"),
        ("kimi-k4", "kimi-"),
        ("kimi-for-coding", "kimi-"),
        ("kimi-latest", "kimi-latest"),
        ("moonshot-v1-128k", "moonshot-v1"),
        ("llama-3", ""),
        ("", ""),
    ],
)
def test_family_is_the_longest_prefix(name, family):
    known = find_capabilities(name)
    assert known.family == family
    assert known.is_kimi is bool(family)


def test_newer_kimi_follows_the_newest_rules_and_others_none():
    newer, other = find_capabilities("kimi-k9"), find_capabilities("llama")
    assert "temperature" in newer.sampling
    assert newer.tool_choices == ()
    assert other.sampling == {}
    assert other.thinking is Thinking.UNKNOWN
    assert not other.thinks


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["kimi-k2.7-code", "kimi-k2.6", "kimi-k2.5"], "kimi-k2.6"),
        (
            ["moonshotai/kimi-k2", "moonshotai/kimi-k3:free", "moonshotai/kimi-k3"],
            "moonshotai/kimi-k3",
        ),
        (["a", "kimi-k2-0711-preview", "kimi-k2-0905-preview"], "kimi-k2-0905-preview"),
        (["b", "a"], "b"),
    ],
)
def test_auto_takes_the_newest_plain_kimi(names, chosen):
    assert choose_newest_kimi([ModelInfo(id=name) for name in names]) == chosen


def test_listing_wins_over_the_table():
    assert describe_kimi(ModelInfo(id="kimi-k3", context_tokens=5)).context_tokens == 5
    assert describe_kimi(ModelInfo(id="kimi-k3")).context_tokens == 1_048_576
    assert describe_kimi(ModelInfo(id="llama")) == ModelInfo(id="llama")
