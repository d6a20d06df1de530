"""What reaches a terminal: clean text, tables that fit, numbers as people read them."""

from __future__ import annotations

import pytest

from meshnode.cli.formats import (
    format_count,
    format_duration,
    format_id,
    format_name,
    format_size,
    format_time,
)
from meshnode.cli.output import clean, clean_line, print_table, wants_colour
from meshnode.cli.paragraph import Paragraph


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[2Jgone", "\ufffd[2Jgone"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
        ("\r\x08\x7f\x9b", "\ufffd\ufffd\ufffd\ufffd"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("\u2028\ud800", "\ufffd\ufffd"),
    ],
)
def test_clean_replaces_what_a_terminal_obeys(text, shown):
    assert clean(text) == shown


def test_clean_line_is_one_line_of_a_width():
    assert clean_line("a\n b\tc") == "a b c"
    assert clean_line("abcdef", 4) == "abc…"
    assert clean_line("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "?"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1_250, "1.2 s"),
        (61_000, "1 min 1 s"),
        (7_260_000, "2 h 1 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_duration_in_its_largest_units(ms, text):
    assert format_duration(ms) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "?"),
        (512, "512 B"),
        (4_900, "4.8 KiB"),
        (98 << 20, "98 MiB"),
        (1 << 60, "1048576 TiB"),
    ],
)
def test_size_in_its_unit(size, text):
    assert format_size(size) == text


def test_other_formats():
    assert format_count(1, "peer") == "1 peer"
    assert format_count(2, "vertex", "vertices") == "2 vertices"
    assert format_count(None, "peer") == "? peers"
    assert format_id(None) == "?"
    assert format_id("abcdefghijk") == "abcdefgh"
    assert format_name("", "abcdefghijk") == "abcdefgh"
    assert format_name("bob\x1b", "x") == "bob\ufffd"
    assert format_time(None) == "?"
    assert format_time(1_700_000_000_000).startswith("2023-11-1")
    assert format_time(2**63 - 1).endswith(" ms")


def test_table_fits_eighty_columns(capsys):
    print_table(("id", ">n", "*what"), [("abcd", "1", "x" * 200), ("e", "22", "[bold]y\x1b")])
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[2].startswith("abcd   1  xxx")
    assert lines[2].rstrip().endswith("…")
    assert "[bold]y\ufffd" in lines[3]


def test_table_keeps_to_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    print_table(("id", "*what"), [("abcd", "x" * 200)])
    assert all(len(line) <= 50 for line in capsys.readouterr().out.splitlines())


def test_paragraph_wraps_words_that_come_in_pieces(capsys):
    paragraph = Paragraph("  ", width=12)
    for piece in ("one t", "wo three", " four\n\nfi", "ve"):
        paragraph.add(piece)
    paragraph.finish()
    assert capsys.readouterr().out == "  one two\n  three four\n  five\n"


@pytest.mark.parametrize(
    ("environ", "tty", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_are_for_people_who_want_them(monkeypatch, environ, tty, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty)
    assert wants_colour() is coloured
