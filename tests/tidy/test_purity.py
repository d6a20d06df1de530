"""Kernels compute the same on every machine: what import contracts cannot see is checked here.

Sets have no order of their own (bytes and str hash differently in every process), floats round,
`hash` and `id` differ per process, and module state would survive from one node to another.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.source_tree import KERNELS, modules, parse, place

SET_CALLS = {"set", "frozenset"}
ORDER_FREE_CALLS = {"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"}
IMPURE_CALLS = {"breakpoint", "eval", "exec", "float", "hash", "id", "input", "open", "print"}


def _is_set_type(annotation: ast.expr | None) -> bool:
    text = "" if annotation is None else ast.unparse(annotation)
    return text.split("[")[0].split(".")[-1] in {"set", "frozenset", "AbstractSet", "MutableSet"}


def _is_set_value(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SET_CALLS
    )


def _set_names(tree: ast.AST) -> set[str]:
    """Names and attributes that are annotated as, or assigned, a set anywhere in the module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=target, annotation=annotation) if _is_set_type(annotation):
                names.add(ast.unparse(target))
            case ast.Assign(targets=[target], value=value) if _is_set_value(value):
                names.add(ast.unparse(target))
            case ast.arg(arg=name, annotation=annotation) if _is_set_type(annotation):
                names.add(name)
            case _:
                pass
    return names


def _order_free_iterations(tree: ast.AST) -> set[ast.AST]:
    """Generators handed straight to a call whose answer does not depend on their order."""
    return {
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ORDER_FREE_CALLS
        for argument in node.args
    }


def _iterated(tree: ast.AST) -> Iterator[ast.expr]:
    free = _order_free_iterations(tree)
    for node in ast.walk(tree):
        match node:
            case ast.For(iter=source):
                yield source
            case ast.ListComp(generators=generators) | ast.DictComp(generators=generators):
                yield from (generator.iter for generator in generators)
            case ast.GeneratorExp(generators=generators) if node not in free:
                yield from (generator.iter for generator in generators)
            case ast.Starred(value=source):
                yield source
            case ast.Call(func=ast.Name(id="list" | "tuple" | "iter" | "enumerate"), args=[source]):
                yield source
            case _:
                pass


def find_set_iterations(tree: ast.AST) -> list[ast.expr]:
    """Expressions that are iterated and that are, or are named like, a set of this module."""
    names = _set_names(tree)
    return [
        source
        for source in _iterated(tree)
        if _is_set_value(source) or ast.unparse(source) in names
    ]


def find_impurities(tree: ast.AST) -> list[ast.stmt | ast.expr]:
    """Calls, floats and statements that a kernel must not have."""
    found: list[ast.stmt | ast.expr] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                found.append(node)
            case ast.Constant(value=float()) | ast.BinOp(op=ast.Div()):
                found.append(node)
            case ast.AugAssign(op=ast.Div()) | ast.Global():
                found.append(node)
            case _:
                pass
    return found


def test_kernels_never_iterate_a_set():
    found = [
        place(module, node)
        for module in modules(*KERNELS)
        for node in find_set_iterations(parse(module))
    ]
    assert not found


def test_kernels_have_no_floats_and_no_process_dependent_calls():
    found = [
        f"{place(module, node)} {ast.unparse(node)}"
        for module in modules(*KERNELS)
        for node in find_impurities(parse(module))
    ]
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "for x in {1, 2}: pass",
        "a = set(b)\nlist(a)",
        "def f(a: frozenset[int]): return [x for x in a]",
        "self.a: set[int] = set()\nfor x in self.a: pass",
        "a = {x for x in b}\n(*a,)",
        "f(x for x in set(a))",
    ],
)
def test_set_iteration_is_found(code: str):
    assert find_set_iterations(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    ["sorted({1, 2})", "a = set()\nx in a", "any(x in a for x in {1})", "for x in [1]: pass"],
)
def test_set_use_without_order_is_accepted(code: str):
    assert not find_set_iterations(ast.parse(code))


@pytest.mark.parametrize("code", ["a = 0.5", "a / b", "a /= b", "hash(a)", "def f():\n global a"])
def test_impurity_is_found(code: str):
    assert find_impurities(ast.parse(code))
