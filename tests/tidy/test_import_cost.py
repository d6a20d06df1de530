"""Importing the library is cheap: heavy dependencies load when they are first needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = [
    "aiohttp",
    "cryptography",
    "libp2p",
    "networkx",
    "pqcrypto",
    "pydantic",
    "trio",
    "xllamacpp",
]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("meshnode", [*HEAVY, "asyncio", "cyclopts", "msgpack", "nacl", "rich", "structlog"]),
        ("meshnode.cli", HEAVY),
    ],
)
def test_import_loads_nothing_heavy(module: str, heavy: list[str]):
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(heavy) & set(done.stdout.split())
