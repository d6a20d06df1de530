"""`meshnode market attest | revoke | attestations | hardware`: who opens which backend, by choice."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from market.attestation import looks_like_credential
from market.commands import Backend
from meshnode.cli.attest_text import (
    ask_to_open,
    describe_document,
    describe_opening,
    explain_opening,
)
from meshnode.cli.exits import OK
from meshnode.cli.formats import format_id, format_name
from meshnode.cli.market_options import LIMIT, WAIT_S, LimitOption, ModelArgument, WaitOption
from meshnode.cli.market_text import print_list, print_outcome
from meshnode.cli.money import format_tokens, read_lots
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, note, print_json, print_table, say
from meshnode.client import connect
from meshnode.config_file import locate_home
from meshnode.errors import CommandRejected, ConfigError

if TYPE_CHECKING:
    from meshnode.client import RemoteNode
    from meshnode.hardware_spec import HardwareDocument, HardwareSpec
    from meshnode.market_views import AttestationInfo, InstrumentInfo, OutcomeInfo
    from meshnode.offer_file import OfferFile

TERMS_BYTES_MAX = 1_048_576
DAILY_CAP_TOKENS = 1_000_000
COLUMNS = ("account", "*model", "backend", "terms", "version", "hardware", ">today", ">cap")


async def attest(
    model: Annotated[
        str | None, Parameter(help="The model you serve; or give an offer as --file.")
    ] = None,
    *,
    terms: Annotated[
        Path | None,
        Parameter(help="The licence or terms of service that you have read, as a file."),
    ] = None,
    terms_version: Annotated[
        str, Parameter(show_default=False, help="Their version or date, as they name it.")
    ] = "",
    backend: Annotated[
        Backend, Parameter(help="Weights that you run yourself, or your own account elsewhere.")
    ] = "own_weights",
    daily_cap: Annotated[
        int,
        Parameter(help="Most billed tokens you take in a day.", validator=validators.Number(gte=1)),
    ] = DAILY_CAP_TOKENS,
    file: Annotated[
        Path | None, Parameter(help="An offer file: its model and its hardware_spec.")
    ] = None,
    publish: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Share the hardware document as a note."),
    ] = False,
    yes: Annotated[
        bool, Parameter(negative="", show_default=False, help="You have read what it means.")
    ] = False,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Open this node's backend for a model, by choice; needed before any offer."""
    variant, spec = _read_subject(model, file)
    digest = _read_terms(terms, terms_version)
    cap_lots = read_lots(daily_cap, "--daily-cap")
    async with connect(home) as node:
        instrument = await find_instrument(node, variant)
        for text in explain_opening(instrument, backend, cap_lots, str(terms), digest):
            note(text)
        ask_to_open(instrument.variant, yes=yes)
        document = await _describe_machine(node, home, spec)
        outcome = await node.market_attest(
            instrument.model,
            backend=backend,
            terms_digest=digest,
            terms_version=terms_version,
            hardware_digest=document.digest,
            daily_cap_lots=cap_lots,
            wait_ms=timeout_s * 1_000,
        )
        if publish:
            await _publish(node, document, outcome)
    return print_outcome(outcome, describe_opening(instrument, backend, cap_lots), json=json)


async def revoke(
    model: ModelArgument,
    *,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Take an attestation back; its offers end at once."""
    async with connect(home) as node:
        outcome = await node.market_revoke(model, wait_ms=timeout_s * 1_000)
    said = f"closed {clean_line(model, 40)}; offers of it are gone, contracts go on"
    return print_outcome(outcome, said, json=json)


async def attestations(
    *,
    account: Annotated[str | None, Parameter(help="Of this member or account.")] = None,
    model: Annotated[str | None, Parameter(help="Only of this model.")] = None,
    limit: LimitOption = LIMIT,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List who opens which backend, under which terms."""
    async with connect(home) as node:
        found = await node.market_attestations(account=account, model=model, limit=limit)
    if json:
        print_list("attestations", found)
    elif found:
        print_table(COLUMNS, [_describe_row(each) for each in found])
    else:
        say("nobody has opened a backend; `meshnode market attest` opens this node's")
    return OK


def hardware(
    document: Annotated[
        str, Parameter(help="A file, or the digest of a document in this node's home folder.")
    ],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Check and show a signed description of hardware."""
    found = read_hardware(document, locate_home(home, os.environ))
    if json:
        print_json(found.to_json())
        return OK
    for text in describe_document(found):
        say(text)
    return OK


# --- what is attested ------------------------------------------------------------------------------


def _read_terms(path: Path | None, version: str) -> str:
    """The digest of the terms that somebody has read. Raises `ConfigError`."""
    if path is None or not version:
        raise ConfigError(
            "an attestation names the terms you have read",
            hint="give --terms FILE and --terms-version VERSION",
        )
    if looks_like_credential(version):
        # The text itself stays out of the error.
        raise ConfigError(
            "--terms-version looks like it holds a key, a token or a password",
            hint="write the version of the terms; no key is ever needed here",
        )
    return digest_terms(path)


def digest_terms(path: Path) -> str:
    """SHA-256 of a licence or of terms of service. Raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            data = file.read(TERMS_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"the terms {path} cannot be read: {error.strerror}",
            hint="give the file you have read",
        ) from None
    if not 0 < len(data) <= TERMS_BYTES_MAX:
        raise ConfigError(f"the terms {path} are empty or larger than {TERMS_BYTES_MAX} bytes")
    return hashlib.sha256(data).hexdigest()


async def find_instrument(node: RemoteNode, model: str) -> InstrumentInfo:
    """The listed model of this name or id. Raises `CommandRejected`."""
    for each in await node.market_instruments():
        if each.variant == model or (len(model) >= 4 and each.model.startswith(model)):
            return each
    raise CommandRejected(
        f"no model '{clean_line(model, 40)}' is listed",
        hint="`meshnode market instruments` lists them; validators add some",
    )


def sign_hardware(home: Path | None, spec: HardwareSpec) -> tuple[HardwareDocument, Path]:
    """Sign a specification with the key of a home folder, and keep it there."""
    from meshnode.cli.setup import choose_key_passphrase, load_settings, prepare_identity
    from meshnode.hardware_spec import sign_spec, store_document
    from meshnode.home import open_home

    opened = open_home(locate_home(home, os.environ))
    network = opened.get_current_network()
    if network is None:
        raise CommandRejected("this home belongs to no network", hint="start it: `meshnode up`")
    identity = prepare_identity(opened, choose_key_passphrase(opened, load_settings(home)))
    document = sign_spec(
        spec,
        secrets=identity.secrets,
        suite=network.genesis.suite,
        network=network.network,
    )
    return document, store_document(opened.path, document)


def read_hardware(name: str, home: Path) -> HardwareDocument:
    """A document by its file, or by its digest or the beginning of it. Raises `CommandRejected`."""
    from meshnode.hardware_spec import DOCUMENT_BYTES_MAX, FOLDER, load_document, read_document

    path = Path(name)
    if path.is_file():
        with path.open("rb") as file:
            return read_document(file.read(DOCUMENT_BYTES_MAX + 1))
    stored = sorted(each.stem for each in (home / FOLDER).glob("*.json"))
    digests = [digest for digest in stored if digest.startswith(name)]
    found = load_document(home, digests[0]) if len(digests) == 1 else None
    if found is None:
        several = f"{len(digests)} documents begin" if digests else "no document begins"
        raise CommandRejected(
            f"{several} with '{clean_line(name, 40)}'",
            hint="`meshnode market attest` makes one; others publish theirs as notes",
        )
    return found


def _read_subject(model: str | None, file: Path | None) -> tuple[str, HardwareSpec]:
    """The model, and what serves it."""
    from meshnode.hardware_spec import HardwareSpec
    from meshnode.offer_file import read_offer_file

    offer: OfferFile | None = None if file is None else read_offer_file(file)
    if offer is None and model is None:
        raise ConfigError("an attestation is for a model", hint="name it, or give --file FILE")
    if offer is not None and model not in {None, offer.model_variant}:
        raise ConfigError("the offer file names another model", hint="leave the name out")
    variant = model if offer is None else offer.model_variant
    assert variant is not None
    if offer is None or offer.hardware_spec is None:
        return variant, HardwareSpec()
    return variant, offer.hardware_spec.make_spec()


async def _describe_machine(
    node: RemoteNode, home: Path | None, spec: HardwareSpec
) -> HardwareDocument:
    """The signed document of what serves, kept in the home folder."""
    document, path = sign_hardware(home, spec)
    if document.author != (await node.status()).author:
        raise CommandRejected(
            "the key of this home folder is not the running node's",
            hint="stop the node and start it again",
        )
    note(f"the hardware document {format_id(document.digest)} is {path}")
    return document


async def _publish(node: RemoteNode, document: HardwareDocument, outcome: OutcomeInfo) -> None:
    """Share the document that an accepted attestation names; before that it stands for nothing."""
    if outcome.status != "accepted":
        note("the hardware document was not published: the attestation has no place yet")
        return
    from meshnode.hardware_spec import MEDIA_TYPE, encode_document

    vertex = await node.publish(
        encode_document(document),
        title=f"hardware {format_id(document.digest)}",
        media_type=MEDIA_TYPE,
    )
    note(f"published as note {format_id(vertex.id)}")


def _describe_row(given: AttestationInfo) -> tuple[str, ...]:
    return (
        format_name(given.account_name, given.account, 10),
        clean_line(given.variant),
        given.backend.replace("_", " "),
        format_id(given.terms_digest),
        clean_line(given.terms_version, 10),
        format_id(given.hardware_digest),
        format_tokens(given.used_lots),
        format_tokens(given.daily_cap_lots),
    )
