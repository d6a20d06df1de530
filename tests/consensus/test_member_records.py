"""What is said of who is out."""

from __future__ import annotations

import pytest

from consensus.member_records import MemberRecord, Standing, describe_end

AUTHOR = bytes.fromhex("aabbccdd") * 8


@pytest.mark.parametrize(
    ("standing", "reason", "text"),
    [
        ("member", "", ""),
        ("newcomer", "", ""),
        ("waiting", "", ""),
        (
            "expelled",
            "floods",
            "author aabbccdd was expelled by decision 01010101 at commit 7: floods",
        ),
        ("revoked", "", "author aabbccdd revoked its own identity at commit 7"),
        ("refused", "used up", "author aabbccdd was not let in at commit 7: used up"),
    ],
)
def test_end_is_described_in_one_line(standing: Standing, reason: str, text: str):
    record = MemberRecord(AUTHOR, standing, 7, cause=b"\1" * 32, reason=reason)
    assert describe_end(record) == text
    assert record.has_ended == bool(text)
