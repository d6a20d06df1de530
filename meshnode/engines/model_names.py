"""Model names as tables compare them: providers spell one model in several ways."""

from __future__ import annotations


def normalise_model(name: str) -> str:
    """The name without vendor path and variant, in lower case.

    `moonshotai/Kimi-K2.6:free`, `/models/kimi-k2.6/` and `kimi-k2.6` are one model to a table.
    """
    last = name.strip().rstrip("/").rpartition("/")[2]
    return last.partition(":")[0].lower()
