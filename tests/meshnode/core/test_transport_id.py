"""The name of a host key is the one libp2p gives it."""

from __future__ import annotations

from meshnode.core.transport_id import _encode_base58, compute_transport_id


def test_transport_id_is_the_base58_identity_multihash():
    # The public key of RFC 8032, 7.1, test 1; the id was made with the base58 package.
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert compute_transport_id(key) == "12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV"


def test_leading_zero_bytes_are_ones():
    assert _encode_base58(b"\x00\x00\x01") == "112"
    assert _encode_base58(b"") == ""
