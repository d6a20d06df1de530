"""Keys that hold while sources are edited."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulations import results
from tests.support.sweep_tasks import pin_sources


@pytest.fixture(autouse=True)
def _pinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(results, "CODE", results.CODE)
    pin_sources()
    yield
    monkeypatch.undo()
    results.compute_code_digest.cache_clear()
