"""Every kernel module with behaviour has a test file of its own, at the mirrored place."""

from __future__ import annotations

from tests.support.source_tree import KERNELS, ROOT, functions, modules, parse


def test_kernel_modules_have_their_own_test_file():
    missing = [
        str(module)
        for module in modules(*KERNELS)
        if any(functions(parse(module)))
        and not list((ROOT / "tests" / module.parent).glob(f"test_{module.stem}*.py"))
    ]
    assert not missing
