"""The project's own source files, as the tidy tests look at them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dag", "consensus", "market", "meshnode", "simulations")
KERNELS = ("dag", "consensus", "market", "meshnode/core", "meshnode/routing")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*folders: str) -> list[Path]:
    """Every Python file under the folders, relative to the root, in a fixed order."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found)


@functools.cache
def parse(module: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse((ROOT / module).read_text(encoding="utf-8"), filename=str(module))


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def place(module: Path, node: ast.stmt | ast.expr) -> str:
    """Where a finding is, in the form that editors open."""
    return f"{module}:{node.lineno}"
