"""Tests are named alike in every process, so that several can share the work."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"<(function|\w+(\.\w+)* object) |\b0x[0-9a-f]{6,}")


def test_no_name_of_a_test_holds_an_address(request):
    assert [item.nodeid for item in request.session.items if ADDRESS.search(item.nodeid)] == []
