"""What opening a backend means, in plain words, and the question that has to be answered first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from meshnode.cli.blocking import interruptible
from meshnode.cli.market_text import line
from meshnode.cli.money import format_tokens
from meshnode.cli.output import clean_line, is_interactive
from meshnode.errors import CommandRejected

if TYPE_CHECKING:
    from market.commands import Backend
    from meshnode.hardware_spec import HardwareDocument
    from meshnode.market_views import InstrumentInfo


def explain_opening(
    instrument: InstrumentInfo, backend: Backend, cap_lots: int, terms: str, digest: str
) -> list[str]:
    """What somebody says by attesting: each line is one promise or one right."""
    where = (
        "on weights that you run on your own machines"
        if backend == "own_weights"
        else "on your own account with the model's provider"
    )
    lines = [
        f"You open this node for {clean_line(instrument.variant, 50)}. That means:",
        "- other members' tasks run here,",
        f"  {where};",
        "- you choose: every task is accepted or declined by your node, one by one,",
        f"  and never more than {format_tokens(cap_lots)} tokens a day;",
        "- tasks travel, credentials never: no key of yours leaves this machine, and",
        "  none is asked for, here or later;",
        f"- you have read {clean_line(terms, 50)}",
        f"  (SHA-256 {digest[:16]}...), and it allows this. That is your word: no",
        "  program can judge a licence or terms of service;",
        "- everybody in the mesh can read this attestation, and your name under it;",
        "- `meshnode market revoke` ends it at once, with all your offers.",
    ]
    if instrument.policy == "contribution_only":
        lines.append("- its terms allow contribution only: what you get is a reward, no price.")
    return lines


def describe_opening(instrument: InstrumentInfo, backend: Backend, cap_lots: int) -> str:
    """What was opened, and how it ends."""
    variant = clean_line(instrument.variant, 50)
    return (
        f"opened {variant} on {backend.replace('_', ' ')}, {format_tokens(cap_lots)} tokens a day;"
        f"\nend it with: meshnode market revoke {variant}"
    )


def ask_to_open(variant: str, *, yes: bool) -> None:
    """Raises `CommandRejected` unless a person agrees, now or by `--yes`."""
    if yes:
        return
    hint = "read the lines above; agree by `--yes`"
    if not is_interactive():
        raise CommandRejected("opening a backend needs your own yes", hint=hint)
    sys.stderr.write(f"Open {clean_line(variant, 50)}? Type yes: ")
    sys.stderr.flush()
    with interruptible():
        answer = sys.stdin.readline()
    if answer.strip().lower() != "yes":
        raise CommandRejected("nothing was opened", hint=hint)


def describe_document(document: HardwareDocument) -> list[str]:
    """A checked hardware document, one fact per line; what it does not say is left out."""
    spec = document.spec.to_json()
    return [
        line("digest", document.digest),
        line("by", document.author),
        line("network", document.network),
        line("signature", f"holds ({document.suite})"),
        *(
            f"{name.replace('_', ' '):<24} {clean_line(str(value))}"
            for name, value in spec.items()
            if value
        ),
    ]
