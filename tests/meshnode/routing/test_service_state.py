"""What a replica refuses for good is asked for again after a while."""

from __future__ import annotations

from meshnode.routing.service_state import DISABLED_MS, ServiceState
from meshnode.routing.settings import Settings


def test_service_is_disabled_for_a_while():
    service = ServiceState(Settings(), prefill_ns=0, decode_ns=0)
    assert not service.is_disabled(0)
    service.disabled_ms = 5
    assert service.is_disabled(5 + DISABLED_MS - 1)
    assert not service.is_disabled(5 + DISABLED_MS)
