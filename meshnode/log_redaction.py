"""Logs without keys: whatever a library or a provider says, what is shaped like a key is masked."""

from __future__ import annotations

import logging
from typing import Final

from meshnode.secret import redact

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RedactingFormatter(logging.Formatter):
    """Formats a record, its traceback included, and masks keys in the whole of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as it is written."""
        return redact(super().format(record))


def configure_logging(level: int = logging.WARNING) -> None:
    """Log to stderr, as a process of this program does."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
