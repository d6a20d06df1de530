"""What holds for every test of the shell: its modules may not block the loop."""

from __future__ import annotations

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def _no_blocking_calls():
    """The shell may not block the loop: any blocking call of its modules in it is an error."""
    with blockbuster_ctx("meshnode.shell") as blockbuster:
        # Uncontended hand-over to a pool, and joining a thread that has nothing left to do.
        for name in ("submit", "shutdown", "_adjust_thread_count"):
            blockbuster.functions["threading.Lock.acquire"].can_block_in(
                "concurrent/futures/thread.py", name
            )
        # Coverage's own lock, where it is measured.
        blockbuster.functions["threading.Lock.acquire"].can_block_in(
            "coverage/collector.py", "lock_data"
        )
        yield
