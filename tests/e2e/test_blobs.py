"""Blobs with real processes: commands, a file from one node to another, and a fetcher that is killed."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
