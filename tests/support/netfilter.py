"""Address translation in the kernel of this machine, set up without any tool: nf_tables by netlink.

    set_up_router("wan", Nat.STEADY, port=4001)

Works on the network that the calling thread is in. Only what a home router does is here: traffic that
leaves at one interface is given that interface's address, and whatever comes in unasked is dropped.
"""

from __future__ import annotations

import enum
import os
import socket
import struct
from typing import Final

NETLINK_NETFILTER: Final = 12
_NFTABLES: Final = 10 << 8
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = _NFTABLES | 0, _NFTABLES | 3, _NFTABLES | 6
_ERROR: Final = 2
_REQUEST, _ACK, _CREATE, _APPEND = 1, 4, 0x400, 0x800
_NESTED: Final = 0x8000
_HOOK_INPUT, _HOOK_POSTROUTING = 1, 4
_TABLE, _WAYS_OUT, _WAYS_IN = b"router\0", b"out\0", b"in\0"
_PRIORITY_NAT: Final = 100
_DROP: Final = 0
_REGISTER: Final = 1
_META_OIFNAME: Final = 7
_NAME_BYTES: Final = 16
_TRANSPORT_HEADER: Final = 2
_PORT_SPECIFIED, _FULLY_RANDOM = 2, 16
MOVED_BY: Final = 10_000


class Nat(enum.Enum):
    """How a router chooses the port that others see."""

    KEPT = "keeps ports"
    """The one that was sent from."""
    MOVED = "moves ports"
    """Another one, the same wherever it is sent: `MOVED_BY` higher, for one port."""
    SYMMETRIC = "a port for each destination"
    """Another one for each connection, drawn by chance: nobody can know it before."""


def set_up_router(out: str, nat: Nat, *, port: int) -> None:
    """Translate what leaves at an interface, and drop what is meant for this router itself."""
    rules = [_make_masquerade(out, _number(1, _FULLY_RANDOM) if nat is Nat.SYMMETRIC else b"")]
    if nat is Nat.MOVED:
        rules.insert(0, _make_move(out, port))
    _send(
        (_NEW_TABLE, _CREATE, _attribute(1, _TABLE)),
        (_NEW_CHAIN, _CREATE, _make_chain(_WAYS_OUT, _HOOK_POSTROUTING, _PRIORITY_NAT, b"nat\0")),
        (
            _NEW_CHAIN,
            _CREATE,
            _make_chain(_WAYS_IN, _HOOK_INPUT, 0, b"filter\0") + _number(5, _DROP),
        ),
        *((_NEW_RULE, _CREATE | _APPEND, rule) for rule in rules),
    )


def _make_chain(name: bytes, hook: int, priority: int, kind: bytes) -> bytes:
    hooked = _number(1, hook) + _number(2, priority)
    return (
        _attribute(1, _TABLE)
        + _attribute(3, name)
        + _attribute(4 | _NESTED, hooked)
        + _attribute(7, kind)
    )


def _make_masquerade(out: str, options: bytes) -> bytes:
    return _make_rule(*_leaves_at(out), _expression(b"masq", options))


def _make_move(out: str, port: int) -> bytes:
    """TCP segments from one port get another one, whatever their destination."""
    source = _number(1, _REGISTER) + _number(2, _TRANSPORT_HEADER) + _number(3, 0) + _number(4, 2)
    moved = _number(1, _REGISTER) + _attribute(
        2 | _NESTED, _attribute(1, struct.pack(">H", port + MOVED_BY))
    )
    return _make_rule(
        *_leaves_at(out),
        _expression(b"payload", source),
        _expression(b"cmp", _equals(struct.pack(">H", port))),
        _expression(b"immediate", moved),
        _expression(
            b"masq", _number(1, _PORT_SPECIFIED) + _number(2, _REGISTER) + _number(3, _REGISTER)
        ),
    )


def _leaves_at(out: str) -> list[bytes]:
    name = out.encode().ljust(_NAME_BYTES, b"\0")
    return [
        _expression(b"meta", _number(1, _REGISTER) + _number(2, _META_OIFNAME)),
        _expression(b"cmp", _equals(name)),
    ]


def _equals(value: bytes) -> bytes:
    return _number(1, _REGISTER) + _number(2, 0) + _attribute(3 | _NESTED, _attribute(1, value))


def _make_rule(*expressions: bytes) -> bytes:
    return (
        _attribute(1, _TABLE)
        + _attribute(2, _WAYS_OUT)
        + _attribute(4 | _NESTED, b"".join(expressions))
    )


def _expression(name: bytes, data: bytes) -> bytes:
    content = _attribute(1, name + b"\0") + (_attribute(2 | _NESTED, data) if data else b"")
    return _attribute(1 | _NESTED, content)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">I", value))


def _send(*messages: tuple[int, int, bytes]) -> None:
    """All of it or nothing. Raises `OSError` with the kernel's reason."""
    family = socket.AF_INET
    batch = [_pack(_BATCH_BEGIN, _REQUEST, 0, struct.pack(">BBH", 0, 0, 10))]
    for number, (kind, flags, content) in enumerate(messages, 1):
        head = struct.pack(">BBH", family, 0, 0)
        batch.append(_pack(kind, _REQUEST | _ACK | flags, number, head + content))
    end = len(messages) + 1
    batch.append(_pack(_BATCH_END, _REQUEST, end, struct.pack(">BBH", 0, 0, 10)))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.settimeout(10)
        kernel.bind((0, 0))
        kernel.send(b"".join(batch))
        answered = 0
        while answered < len(messages):
            answered += _read_answers(kernel.recv(65_536))


def _pack(kind: int, flags: int, number: int, content: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(content), kind, flags, number, 0) + content


def _read_answers(data: bytes) -> int:
    answered = 0
    while data:
        size, kind = struct.unpack_from("=IH", data)
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", data, 16)
            if code:
                raise OSError(-code, f"the kernel took no rule: {os.strerror(-code)}")
            answered += 1
        data = data[size + (-size % 4) :]
    return answered
