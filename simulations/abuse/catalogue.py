"""Every attack that is mounted, in the order of the table in docs/abuse.md."""

from __future__ import annotations

from typing import Final

from simulations.abuse import (
    amplification,
    clocks,
    eclipse,
    equivocation,
    floods,
    forgeries,
    newcomers,
    orphans,
    records,
    sizes,
    spam,
    withholding,
)

ROWS: Final = {
    row.name: row
    for module in (
        withholding,
        spam,
        forgeries,
        orphans,
        equivocation,
        eclipse,
        newcomers,
        clocks,
        sizes,
        amplification,
        floods,
        records,
    )
    for row in module.ROWS
}
