"""A secret shows its text to nobody but the one who asks for it."""

from __future__ import annotations

import copy
import pickle

import pytest

from meshnode.secret import MASK, Secret, redact

TEXT = "sk-verysecretindeed"


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{:>40}".format, "%s".__mod__])
def test_secret_is_masked_when_shown(show):
    shown = show(Secret(TEXT))
    assert TEXT not in shown
    assert MASK in shown


def test_secret_is_masked_when_inside_a_traceback_of_its_container():
    assert TEXT not in repr({"key": [Secret(TEXT)]})


def test_secret_reveals_its_text_when_asked():
    assert Secret(TEXT).reveal() == TEXT


def test_secret_equals_by_text_and_only_other_secrets():
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT + "x")
    assert Secret(TEXT) != TEXT
    assert Secret("\udc80") == Secret("\udc80")


def test_secret_is_false_when_empty():
    assert not Secret("")
    assert Secret(TEXT)


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, hash])
def test_secret_refuses_to_leave_when_pickled_copied_or_hashed(leak):
    with pytest.raises(TypeError):
        leak(Secret(TEXT))


def test_redact_masks_given_secrets_and_key_shapes():
    text = redact("key hunter2 and sk-or-v1-0123456789 and Bearer abcdefgh", Secret("hunter2"))
    assert text == f"key {MASK} and {MASK} and {MASK}"


def test_redact_leaves_text_alone_when_nothing_is_secret():
    assert redact("a risk-free disk-based task", Secret("")) == "a risk-free disk-based task"
