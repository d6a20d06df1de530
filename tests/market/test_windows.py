"""Windows: an outcome counts once three of five probers agree on it."""

from __future__ import annotations

import pytest

from market.contracts import Contract, Ended
from market.deadlines import WINDOW, Deadlines
from market.errors import Code, Refused
from market.sla import REPORT_GRACE_MS, WINDOW_MS
from market.windows import Report, Window, Windows

PROVIDER = bytes([9]) * 32
PROBERS = {bytes([number]) * 32: 1 for number in range(5)}


def make_contract(number: int = 1, opened_ms: int = 0) -> Contract:
    return Contract(
        bytes([number]) * 32, bytes(32), PROVIDER, bytes(32), 1, 1, 1, 0, 10, 5, opened_ms, False
    )


def make_windows() -> Windows:
    windows = Windows(Deadlines(), PROBERS)
    windows.begin(0, bytes(32))
    windows.add(make_contract())
    return windows


def make_window(*outcomes: tuple[bool, ...]) -> Window:
    reports = [Report(bytes([number]) * 32, seen) for number, seen in enumerate(outcomes)]
    return Window(PROVIDER, 0, tuple(PROBERS), {}, reports)


def test_two_liars_neither_break_a_guarantee_nor_save_one():
    good, bad = (True,) * 20, (False,) * 20
    assert make_window(good, good, good, bad, bad).count() == (20, 20)
    assert make_window(bad, bad, bad, good, good).count() == (0, 20)


def test_probe_without_a_quorum_does_not_count():
    good, bad = (True,) * 4, (False,) * 4
    assert make_window(good, good, bad, bad).count() == (0, 0)
    assert make_window(good, good, (True,) * 6).count() == (4, 4)
    window = make_window()
    window.misses = 3
    assert window.count() == (0, 3)


def test_window_is_due_after_the_grace_for_reports():
    deadlines = Deadlines()
    windows = Windows(deadlines, PROBERS)
    windows.begin(5, bytes(32))
    windows.add(make_contract(1))
    windows.add(make_contract(2))
    assert list(deadlines.take_due(WINDOW_MS + REPORT_GRACE_MS)) == [WINDOW + PROVIDER + bytes(8)]
    (row,) = windows.rows.rows()
    assert list(row.served) == [bytes([1]) * 32, bytes([2]) * 32]


def test_beacon_is_the_first_commit_of_a_window():
    windows = Windows(Deadlines(), PROBERS)
    windows.begin(0, bytes([1]) * 32)
    windows.begin(1, bytes([2]) * 32)
    assert windows.beacon == bytes(8) + bytes([1]) * 32
    windows.begin(WINDOW_MS, bytes([3]) * 32)
    assert windows.beacon[8:] == bytes([3]) * 32


def test_end_of_a_contract_is_noted_in_its_window_only():
    windows = make_windows()
    windows.end(Ended(make_contract(), "refunded", 7, 0, clean=False, missed=True))
    (row,) = windows.rows.rows()
    assert row.served[bytes([1]) * 32].paid == 7
    assert row.misses == 1
    later = make_contract(opened_ms=WINDOW_MS)
    windows.end(Ended(later, "refunded", 7, 0, clean=False, missed=True))
    assert row.misses == 1


def test_report_is_taken_once_from_who_was_drawn():
    windows = make_windows()
    prober = next(iter(PROBERS))
    windows.report(prober, PROVIDER, 0, (True,) * 4)
    (row,) = windows.rows.rows()
    assert row.reports == [Report(prober, (True,) * 4)]
    for author, number, count, code in (
        (prober, 0, 4, Code.ALREADY_DONE),
        (PROVIDER, 0, 4, Code.NOT_A_PROBER),
        (bytes([1]) * 32, 0, 3, Code.OUT_OF_RANGE),
        (bytes([1]) * 32, 0, 21, Code.OUT_OF_RANGE),
        (prober, 1, 4, Code.UNKNOWN_WINDOW),
        (prober, -1, 4, Code.UNKNOWN_WINDOW),
        (prober, 2**64, 4, Code.UNKNOWN_WINDOW),
    ):
        with pytest.raises(Refused) as caught:
            windows.report(author, PROVIDER, number, (True,) * count)
        assert caught.value.reason is code
