"""What engines share: failures in one line, and the engine without processes."""

from __future__ import annotations

import pytest

from simulations.sweeps.engines import (
    MESSAGE_CHARS_MAX,
    Failure,
    Serial,
    attempt,
    describe,
)


def halve(number: int) -> float:
    return 1 / number


def test_serial_goes_on_after_a_failure():
    attempts = list(Serial().map_tasks(halve, [2, 0, 4]))
    assert [one.item for one in attempts] == [2, 0, 4]
    assert [one.result for one in attempts] == [
        0.5,
        Failure("ZeroDivisionError: division by zero"),
        0.25,
    ]


def test_attempt_lets_an_interrupt_through():
    def interrupt(_item: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(interrupt, 1)


def test_describe_is_one_bounded_line():
    assert describe(ValueError("a\n b")) == "ValueError: a b"
    assert describe(ValueError()) == "ValueError"
    assert len(describe(ValueError("a" * 9_999))) == MESSAGE_CHARS_MAX
