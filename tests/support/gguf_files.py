"""Small GGUF files, written by hand."""

from __future__ import annotations

import struct
from typing import Any


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def entry(key: str, value: Any) -> bytes:
    if isinstance(value, bool):
        return text(key) + struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return text(key) + struct.pack("<IQ", 10, value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    if isinstance(value, list):
        items = b"".join(text(item) for item in value)
        return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + items
    return text(key) + struct.pack("<I", 8) + text(value)


def tensor(name: str, *sizes: int, kind: int = 2) -> bytes:
    shape = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    return text(name) + shape + struct.pack("<IQ", kind, 0)


METADATA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.license": "apache-2.0",
    "llama.context_length": 512,
    "llama.rope.scale": 0.5,
    "tokenizer.ggml.add_bos_token": True,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
}


def make_gguf(
    metadata: dict[str, Any] | None = None, *, version: int = 3, tensors: int | None = None
) -> bytes:
    """A file with three thousand parameters, and some bytes that stand for weights."""
    entries = METADATA if metadata is None else metadata
    infos = [tensor("token_embd.weight", 10, 100), tensor("output.weight", 20, 100)]
    head = b"GGUF" + struct.pack("<IQQ", version, tensors or len(infos), len(entries))
    body = b"".join(entry(key, value) for key, value in entries.items())
    return head + body + b"".join(infos) + bytes(range(256)) * 16
