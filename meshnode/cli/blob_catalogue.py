"""The commands of blobs; see `meshnode.cli.catalogue`."""

from __future__ import annotations

from typing import Final

from meshnode.cli.command import Command

BLOB: Final = (
    Command(
        "put",
        "blob:put",
        "Keep a file, and give it to members who ask for its id.",
        (
            "meshnode blob put paper.pdf --type application/pdf",
            'meshnode blob put results.csv --share --title "Measurements of May"',
            "meshnode blob put plan.txt --to bob",
        ),
    ),
    Command(
        "get",
        "blob:get",
        "Write a blob to a file, fetched from whoever has it.",
        ("meshnode blob get ID -o paper.pdf", "meshnode blob get ID -o - | less"),
    ),
    Command(
        "ls",
        "blob:ls",
        "List what this node holds, and the room it takes.",
        ("meshnode blob ls", "meshnode blob ls --json"),
    ),
    Command("show", "blob:show", "Show one blob.", ("meshnode blob show ID",)),
    Command(
        "pin",
        "blob:pin",
        "Keep a blob whatever happens, or no longer.",
        ("meshnode blob pin ID", "meshnode blob pin ID --off"),
    ),
    Command(
        "rm", "blob:rm", "Forget a blob.", ("meshnode blob rm ID", "meshnode blob rm ID --force")
    ),
)
