"""`meshnode market close | finalise | dispute | verdict`: what people can say of a contract.

A node says the first two by itself where it buys and sells; disputing and judging are for people.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from market.amounts import compute_dispute_bond
from market.attestation import looks_like_credential
from market.commands import TEXT_CHARACTERS_MAX, Close, Dispute, Finalise, VerdictMotion
from market.contracts import CHALLENGE_MS, VERDICT_MS
from meshnode.cli.blocking import interruptible
from meshnode.cli.formats import format_duration, format_id, format_name
from meshnode.cli.market_options import WAIT_S, WaitOption
from meshnode.cli.market_text import print_outcome
from meshnode.cli.money import format_amount
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, is_interactive, note
from meshnode.client import connect
from meshnode.errors import CommandRejected, ConfigError, MarketRefused

if TYPE_CHECKING:
    from market.commands import Command
    from meshnode.market_port import MarketPort
    from meshnode.market_views import ContractInfo, OutcomeInfo

ContractArgument = Annotated[str, Parameter(help="Its id, or the beginning of it.")]
ProviderOption = Annotated[
    int | None,
    Parameter(
        help="The provider's part of what the receipts say, in percent; the rest is the buyer's.",
        validator=validators.Number(gte=0, lte=100),
    ),
]
MethodOption = Annotated[
    str, Parameter(help="How it was judged: replay, canaries, by hand; everybody can read it.")
]
ComparedOption = Annotated[
    int,
    Parameter(
        help="How many tokens or answers were compared.",
        validator=validators.Number(gte=0, lte=2**31),
    ),
]
MatchedOption = Annotated[
    int,
    Parameter(
        help="How many of them were as they had to be.",
        validator=validators.Number(gte=0, lte=2**31),
    ),
]
ModelDigestOption = Annotated[
    str | None,
    Parameter(help="SHA-256 of the weights that it was compared with, in hex.", show_default=""),
]
FraudOption = Annotated[
    bool,
    Parameter(negative="", help="Another model is proven: the provider loses all it bonded."),
]
_READ_BYTES = 1_048_576
_DISPUTABLE = ("delivering", "claimable")
PERCENT_BP = 100
"""Basis points of a percent."""


async def close(
    contract: ContractArgument,
    *,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Want no more of a contract, as its buyer: what came is paid, the rest returns."""
    async with connect(home) as node:
        found = await node.market_contract(contract)
        own = (await node.status()).author
        if found.provider == own:
            raise CommandRejected(
                f"contract {format_id(found.id)} is closed by its buyer, and this node sells",
                hint="it ends by itself 30 s after the last receipt",
            )
        _check_party(found, own)
        _check_phase(found, ("delivering",), "closed")
        outcome = await _say(node, Close(bytes.fromhex(found.id)), timeout_s)
    said = (
        f"closed contract {format_id(found.id)}: {format_amount(found.cost_uruv)} of "
        f"{format_amount(found.escrow_uruv)} are due so far;\nit is settled once both sides have "
        f"finalised it, or after {format_duration(CHALLENGE_MS)}"
    )
    return print_outcome(outcome, said, json=json)


async def finalise(
    contract: ContractArgument,
    *,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Say that this side will not dispute a contract; once both have, it is settled at once."""
    async with connect(home) as node:
        found = await node.market_contract(contract)
        own = (await node.status()).author
        _check_party(found, own)
        _check_phase(found, ("claimable",), "finalised")
        outcome = await _say(node, Finalise(bytes.fromhex(found.id)), timeout_s)
    is_other_final = found.provider_final if found.buyer == own else found.buyer_final
    rest = (
        f"it is settled for {format_amount(found.cost_uruv)}"
        if is_other_final
        else f"it is settled once the other side has said the same, or when the time "
        f"for disputes is up:\nmeshnode market contracts {format_id(found.id)}"
    )
    said = f"this side does not dispute contract {format_id(found.id)};\n{rest}"
    return print_outcome(outcome, said, json=json)


async def dispute(
    contract: ContractArgument,
    *,
    reason: Annotated[
        str | None,
        Parameter(help="What is wrong, in at most 256 characters; everybody can read it."),
    ] = None,
    evidence: Annotated[
        Path | None,
        Parameter(help="A file that shows it; only its digest is said, keep the file."),
    ] = None,
    yes: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="You put up the bond, without a question."),
    ] = False,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Ask the validators to judge a contract; it costs a bond if they do not agree with you."""
    text = _read_reason(reason)
    digest = _read_evidence(evidence, text)
    async with connect(home) as node:
        found = await node.market_contract(contract)
        _check_party(found, (await node.status()).author)
        _check_phase(found, _DISPUTABLE, "disputed")
        bond_uruv = compute_dispute_bond(found.escrow_uruv)
        for each in explain_dispute(found, bond_uruv, text, digest, evidence):
            note(each)
        _ask_to_dispute(found, bond_uruv, yes=yes)
        command = Dispute(bytes.fromhex(found.id), text, digest)
        outcome = await _say(node, command, timeout_s)
    said = (
        f"disputed contract {format_id(found.id)}, bond {format_amount(bond_uruv)};\n"
        f"follow with: meshnode market contracts {format_id(found.id)}"
    )
    return print_outcome(outcome, said, json=json)


async def verdict(
    contract: ContractArgument,
    *,
    provider: ProviderOption = None,
    method: MethodOption = "by hand",
    compared: ComparedOption = 0,
    matched: MatchedOption = 0,
    model_digest: ModelDigestOption = None,
    fraud: FraudOption = False,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Move, as a validator, how a disputed contract ends."""
    if provider is None or matched > compared:
        raise ConfigError(
            "a verdict needs --provider, 0 to 100, and never more --matched than --compared",
            hint="nothing for the provider: --provider 0; all that was receipted: --provider 100",
        )
    digest = _read_model_digest(model_digest)
    async with connect(home) as node:
        found = await node.market_contract(contract)
        _check_phase(found, ("disputed",), "judged")
        motion = VerdictMotion(
            bytes.fromhex(found.id),
            provider * PERCENT_BP,
            compared,
            matched,
            _check_text(method, "--method"),
            digest,
            fraud,
        )
        outcome = await _say(node, motion, timeout_s)
    loss = "the provider loses all it bonded;\n" if fraud else ""
    said = (
        f"moved that {provider} % of {format_amount(found.cost_uruv)} are the provider's, for "
        f"contract {format_id(found.id)};\n{loss}"
        "it holds once validators with two thirds of the stake have moved the same"
    )
    return print_outcome(outcome, said, json=json)


def explain_dispute(
    contract: ContractInfo, bond_uruv: int, reason: str, digest: bytes, evidence: Path | None
) -> list[str]:
    """What a dispute means, before anything is said."""
    buyer = format_name(contract.buyer_name, contract.buyer, 20)
    provider = format_name(contract.provider_name, contract.provider, 20)
    of = "the reason alone" if evidence is None else clean_line(str(evidence), 30)
    return [
        f"You dispute contract {format_id(contract.id)} ({buyer} from {provider}). That means:",
        f"- {format_amount(bond_uruv)} of your free ruv are a bond; they are burned if the",
        "  validators find for the other side, and come back otherwise;",
        f"- nothing is paid before their verdict; without one in {format_duration(VERDICT_MS)}",
        f"  the receipts count, {format_amount(contract.cost_uruv)} so far;",
        f"- evidence: SHA-256 {digest.hex()[:16]}... of {of};",
        f"- everybody in the mesh can read: {clean_line(reason, 40)}",
    ]


# --- inside ---------------------------------------------------------------------------------------


async def _say(node: MarketPort, command: Command, timeout_s: int) -> OutcomeInfo:
    """Raises `MarketRefused` where every node refuses it."""
    submission = await node.market_submit((command,), wait_ms=timeout_s * 1_000)
    (outcome,) = submission.outcomes
    if outcome.status == "refused":
        raise MarketRefused(
            f"{outcome.code}: {outcome.message}", reason=outcome.code, hint=outcome.hint
        )
    return outcome


def _check_party(contract: ContractInfo, own: str) -> None:
    if own not in (contract.buyer, contract.provider):
        raise CommandRejected(
            f"contract {format_id(contract.id)} is of others",
            hint="`meshnode market contracts` lists those of this node",
        )


def _check_phase(contract: ContractInfo, phases: tuple[str, ...], what: str) -> None:
    """Say before a vertex is spent what every node would refuse."""
    if contract.phase not in phases:
        raise CommandRejected(
            f"contract {format_id(contract.id)} is {contract.phase}, and only one that is "
            f"{' or '.join(phases)} can be {what}",
            hint=f"`meshnode market contracts {format_id(contract.id)}` shows what moves it on",
        )


def _read_reason(reason: str | None) -> str:
    """Raises `ConfigError` for a reason that says nothing, too much, or a secret."""
    text = "" if reason is None else reason.strip()
    if not text:
        raise ConfigError(
            f"a dispute has a reason of 1 to {TEXT_CHARACTERS_MAX} characters",
            hint='say what is wrong: --reason "half of the answer is missing"',
        )
    return _check_text(text, "--reason")


def _check_text(text: str, option: str) -> str:
    """Raises `ConfigError` for a text that nobody would take; it stays out of the error."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise ConfigError(
            f"{option} has {len(text)} characters where {TEXT_CHARACTERS_MAX} are allowed",
            hint="say it shorter",
        )
    if looks_like_credential(text):
        raise ConfigError(
            f"{option} looks like it holds a key, a token or a password",
            hint="leave it out: everybody can read this",
        )
    return text


def _read_model_digest(text: str | None) -> bytes:
    """Raises `ConfigError` for what is no SHA-256; without one it is empty."""
    if text is None:
        return b""
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise ConfigError("--model-digest is no SHA-256 in hex", hint="64 hexadecimal digits")
    return digest


def _read_evidence(path: Path | None, reason: str) -> bytes:
    """SHA-256 of the evidence; of the reason where there is no file. Raises `ConfigError`."""
    if path is None:
        return hashlib.sha256(reason.encode()).digest()
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_READ_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
    except OSError as error:
        raise ConfigError(
            f"the evidence {path} cannot be read: {error.strerror}", hint="give a file"
        ) from None
    if not size_bytes:
        raise ConfigError(f"the evidence {path} is empty", hint="give the file that shows it")
    return digest.digest()


def _ask_to_dispute(contract: ContractInfo, bond_uruv: int, *, yes: bool) -> None:
    """Raises `CommandRejected` unless a person agrees, now or by `--yes`."""
    if yes:
        return
    hint = "read the lines above; agree by `--yes`"
    if not is_interactive():
        raise CommandRejected("a dispute needs your own yes", hint=hint)
    sys.stderr.write(
        f"Dispute {format_id(contract.id)} with a bond of {format_amount(bond_uruv)}? Type yes: "
    )
    sys.stderr.flush()
    with interruptible():
        answer = sys.stdin.readline()
    if answer.strip().lower() != "yes":
        raise CommandRejected("nothing was disputed", hint=hint)
