"""Modules and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast

from tests.support.source_tree import PACKAGES, ROOT, functions, modules, parse, place

FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 500
OURS = (*PACKAGES, "tests", "benchmarks")


def test_functions_fit_a_screen():
    long = [
        f"{place(module, function)} {function.name} has {lines} lines"
        for module in modules(*OURS)
        for function in functions(parse(module))
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long


def test_modules_have_one_purpose_and_so_an_end():
    long = [
        f"{module} has {lines} lines"
        for module in modules(*OURS)
        if (lines := len((ROOT / module).read_text(encoding="utf-8").splitlines()))
        > MODULE_LINES_MAX
    ]
    assert not long


def test_modules_say_what_they_are_for():
    silent = [str(module) for module in modules(*OURS) if not ast.get_docstring(parse(module))]
    assert not silent
