"""Which addresses count as one operator's."""

from __future__ import annotations

import pytest

from meshnode.core.address_group import find_group


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/ip4/8.8.1.1/tcp/1", "/ip4/8.8.255.255/tcp/9"),
        ("/ip6/2600:1f00::1/tcp/1", "/ip6/2600:1f00:ffff::2/tcp/1"),
    ],
)
def test_public_addresses_of_one_block_belong_together(one: str, other: str):
    assert find_group(one) == find_group(other) != ""


def test_public_addresses_of_different_blocks_do_not():
    assert find_group("/ip4/8.8.1.1/tcp/1") != find_group("/ip4/8.9.1.1/tcp/1")
    assert find_group("/ip6/2600:1f00::1/tcp/1") != find_group("/ip6/2600:1f01::1/tcp/1")


@pytest.mark.parametrize(
    "address",
    [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/10.1.2.3/tcp/1",
        "/ip6/::1/tcp/1",
        "/ip6/fe80::1/tcp/1",
        "/dns4/example.org/tcp/1",
        "/sim/node-1",
        "/ip4/8.8.8/tcp/1",
        "/ip4",
        "no/multi/address",
        "",
    ],
)
def test_other_addresses_belong_to_no_block(address: str):
    assert find_group(address) == ""
