"""What is said for everybody holds no keys, and errors about it neither."""

from __future__ import annotations

import pytest

from meshnode.errors import CommandRejected
from meshnode.public_text import check_public_text

KEY = "sk-proj-abcdefghij0123456789"


def test_key_in_any_text_is_refused_and_not_repeated():
    check_public_text("the note", "a title", "text about tokens and secrets")
    with pytest.raises(CommandRejected, match="the note looks like it holds a key") as caught:
        check_public_text("the note", "a title", f"use {KEY}")
    assert KEY not in f"{caught.value} {caught.value.hint}"
