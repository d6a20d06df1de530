"""Write the reference that cannot be read off docstrings: every command's help, every limit.

python tools/reference.py FOLDER

Writes `commands.html` and `limits.html` beside the pages that pdoc writes (`make docs` runs both).
"""

# ruff: noqa: INP001 - a script

from __future__ import annotations

import ast
import html
import importlib
import inspect
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cyclopts import App
from rich.console import Console

from meshnode.cli.app import make_app

WIDTH = 96
LIMIT_MODULES = (
    "dag.types",
    "dag.genesis",
    "dag.quarantine",
    "dag.hold",
    "market.accounts",
    "market.attestation",
    "market.commands",
    "market.contracts",
    "market.desk",
    "market.instruments",
    "market.receipts",
    "market.sla",
    "meshnode.core.messages",
    "meshnode.core.settings",
    "meshnode.core.publishing",
    "meshnode.transport.framing",
    "meshnode.transport.limits",
    "meshnode.serving.protocol",
    "meshnode.serving.server",
    "meshnode.gateway.app",
    "meshnode.node.handle",
    "meshnode.config_file",
    "meshnode.hardware_spec",
    "meshnode.market_views",
)
_ENDINGS = ("_MAX", "_MS", "_S", "_BYTES")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #f4f5f7; color: #1c2733; padding: 1rem; overflow-x: auto; line-height: 1.3 }
table { border-collapse: collapse } td, th { text-align: left; padding: .2rem 1rem .2rem 0;
vertical-align: top; border-bottom: 1px solid #ddd } td.value { text-align: right }
"""


class Limit(NamedTuple):
    """A number of the code that bounds something."""

    name: str
    value: int | float
    text: str


def list_commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, groups before what they hold."""
    yield path
    for name in app:
        if not name.startswith("-"):
            yield from list_commands(app[name], (*path, name))


def render_help(app: App, path: tuple[str, ...]) -> str:
    """What `meshnode COMMAND --help` prints."""
    text = io.StringIO()
    app.help_print(list(path), console=Console(file=text, width=WIDTH, color_system=None))
    return text.getvalue().strip()


def list_limits(module_name: str) -> list[Limit]:
    """The bounds that stand in a module: its constants, and the defaults of its records."""
    module = importlib.import_module(module_name)
    tree = ast.parse(inspect.getsource(module))
    found = _read_body(tree.body, module, "")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and hasattr(getattr(module, node.name), "__slots__"):
            found += _read_body(node.body, _make_defaults(getattr(module, node.name)), node.name)
    return found


def _make_defaults(record: type) -> object:
    """An instance where every field has a default; anything else has no limits to show."""
    try:
        return record()
    except TypeError:
        return object()


def _read_body(body: list[ast.stmt], owner: Any, prefix: str) -> list[Limit]:
    limits = []
    for position, node in enumerate(body):
        name = _get_target(node)
        value = getattr(owner, name, None)
        if name.startswith("_") or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        # Every number of a record of limits is one; of a module's constants those named so are.
        if prefix or name.endswith(_ENDINGS):
            text = _read_docstring(body[position + 1 : position + 2])
            limits.append(Limit(f"{prefix}.{name}" if prefix else name, value, text))
    return limits


def _get_target(node: ast.stmt) -> str:
    """The name that a statement assigns to; '_' where it assigns to none or to several."""
    match node:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return "_"


def _read_docstring(following: list[ast.stmt]) -> str:
    for node in following:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return inspect.cleandoc(str(node.value.value))
    return ""


def make_commands_page() -> str:
    """Every command's help, one after the other."""
    app = make_app()
    parts = []
    for path in list_commands(app):
        title = html.escape(" ".join(("meshnode", *path)))
        anchor = "-".join(("meshnode", *path))
        help_text = html.escape(render_help(app, path))
        parts.append(f'<h2 id="{anchor}">{title}</h2>\n<pre>{help_text}</pre>')
    return _make_page("Commands", "\n".join(parts))


def make_limits_page() -> str:
    """Every bound, by the module it stands in."""
    parts = []
    for module_name in LIMIT_MODULES:
        rows = "\n".join(
            f"<tr><td><code>{html.escape(limit.name)}</code></td>"
            f'<td class="value">{limit.value:,}</td><td>{html.escape(limit.text)}</td></tr>'
            for limit in list_limits(module_name)
        )
        parts.append(f"<h2>{module_name}</h2>\n<table>\n{rows}\n</table>")
    return _make_page("Limits", "\n".join(parts))


def _make_page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>meshnode: {title}</title>'
        f"\n<style>{_STYLE}</style>\n"
        '<p><a href="index.html">packages</a> | <a href="commands.html">commands</a> | '
        f'<a href="limits.html">limits</a></p>\n<h1>{title}</h1>\n{body}\n</html>\n'
    )


def write_reference(folder: Path) -> None:
    """Write both pages."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "commands.html").write_text(make_commands_page(), encoding="utf-8")
    (folder / "limits.html").write_text(make_limits_page(), encoding="utf-8")


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
