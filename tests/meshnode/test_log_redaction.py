"""Logs hold no keys, wherever in a record they stand."""

from __future__ import annotations

import logging
from typing import Any

from meshnode.log_redaction import FORMAT, RedactingFormatter, configure_logging

KEY = "sk-canaryPlatform0123456789abcdef"


def format_error(formatter):
    try:
        raise RuntimeError(f"401 for Bearer {KEY}")
    except RuntimeError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "p", 1, "asked with %s", (KEY,), (type(error), error, None)
        )
    return formatter.format(record)


def test_message_arguments_and_traceback_are_masked():
    text = format_error(RedactingFormatter(FORMAT))
    assert "canary" not in text
    assert text.count("********") == 2
    assert "canary" in format_error(logging.Formatter(FORMAT))


def test_processes_log_through_it(monkeypatch):
    given: dict[str, Any] = {}
    monkeypatch.setattr(logging, "basicConfig", given.update)
    configure_logging(logging.INFO)
    assert given["level"] == logging.INFO
    assert isinstance(given["handlers"][0].formatter, RedactingFormatter)
