"""Links between the pages of the docs lead somewhere."""

from __future__ import annotations

import re

import pytest

from tests.support.source_tree import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
_PATH = re.compile(r"`((?:docs|dag|meshnode|tests|benchmarks|tools)/[\w./-]+\.(?:py|md|json))`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_exist(page):
    text = page.read_text(encoding="utf-8")
    dead = [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    dead += [name for name in _PATH.findall(text) if not (ROOT / name).exists()]
    assert not dead


def test_decisions_are_numbered_without_gaps():
    names = sorted(page.name for page in (ROOT / "docs/decisions").glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        first = (ROOT / "docs/decisions" / name).read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith(f"# {name[:4]}: ")
