"""Fenced blocks of a Markdown page, and how its Python is run.

Blocks of one page share one namespace, as cells of a notebook do, `await` at the top level included.
A `text` block right after a `python` block is what it prints; `…` in it stands for anything.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ((?:conftest|test_\w+)\.py)\n")
ANYTHING = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block and where it stands."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file_name(self) -> str:
        """The file it is to be written to; empty for code that is run."""
        match = _FILE.match(self.text)
        return match[1] if match else ""


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for match in _FENCE.finditer(text)
    ]


def pair_with_output(blocks: list[Block]) -> list[tuple[Block, str]]:
    """Each Python block that is run, with the output its page shows ('' for none)."""
    pairs = []
    for position, block in enumerate(blocks):
        if block.language == "python" and not block.file_name:
            following = blocks[position + 1] if position + 1 < len(blocks) else None
            shown = following.text if following and following.language == "text" else ""
            pairs.append((block, shown))
    return pairs


async def run_block(block: Block, namespace: dict[str, Any]) -> str:
    """Run a block and return what it printed."""
    # Lines of the page, so that a traceback leads there.
    source = "\n" * block.line + block.text
    code = compile(
        source, str(block.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    printed = io.StringIO()
    with redirect_stdout(printed):
        result = eval(code, namespace)
        if inspect.iscoroutine(result):
            await result
    return printed.getvalue()


def is_as_shown(printed: str, shown: str) -> bool:
    """Whether an output is what the page shows."""
    parts = (re.escape(part) for part in shown.strip().split(ANYTHING))
    return re.fullmatch(".*".join(parts), printed.strip(), re.DOTALL) is not None
