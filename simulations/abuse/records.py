"""Where a member can be dialled, as others tell it: records that are old, or not its own."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from dag.errors import InvalidMessage
from meshnode.core import peer_record
from meshnode.core.peer_record import sign_record
from meshnode.core.record_book import RecordBook, Verdict
from simulations.abuse.rows import Row, Trial
from simulations.fuzzing.mutants.patches import answer
from simulations.identities import START_MS, Identity, make_identity
from simulations.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable

MEMBERS: Final = 20
NETWORK: Final = bytes(32)
AGE_MS: Final = 600_000
OLD: Final = ("/ip4/66.66.1.1/tcp/4001",)
NEW: Final = ("/ip4/8.8.8.8/tcp/4001",)


def _mislead(trial: Trial, make: Callable[[Identity, Identity], bytes]) -> int:
    """Tell a book the newest record of every member, then another; answers how many are misled."""
    streams = Streams(trial.seed)
    people = [
        make_identity(streams.derive(f"identity {number}"), f"node-{number}", "ed25519")
        for number in range(MEMBERS + 1)
    ]
    attacker, members = people[0], people[1:]
    names = {one.transport: None for one in members}
    book = RecordBook(NETWORK, names.__contains__)
    for one in members:
        book.admit(START_MS, _sign(one, one, at_ms=START_MS, addresses=NEW))
    for one in members:
        with suppress(InvalidMessage):
            book.admit(START_MS, make(one, attacker))
    found = [book.get(one.keys.libp2p_key) for one in members]
    return sum(record is not None and record.addresses == OLD for record in found)


def _sign(named: Identity, signer: Identity, *, at_ms: int, addresses: tuple[str, ...]) -> bytes:
    return sign_record(
        signer.secrets.libp2p_seed,
        named.keys.libp2p_key,
        network=NETWORK,
        now_ms=at_ms,
        roles=0,
        addresses=addresses,
    )


def replay_old_records(trial: Trial) -> int:
    """Records that members signed ten minutes ago, after those of now."""
    return _mislead(
        trial, lambda one, _attacker: _sign(one, one, at_ms=START_MS - AGE_MS, addresses=OLD)
    )


def forge_records(trial: Trial) -> int:
    """Newer records in members' names, signed by somebody else."""
    return _mislead(
        trial, lambda one, attacker: _sign(one, attacker, at_ms=START_MS + 1, addresses=OLD)
    )


ROWS: Final = (
    Row(
        name="stale-records",
        attack="records of where 20 members were ten minutes ago, replayed",
        defence="of two records the higher sequence holds, and every record expires",
        code="meshnode/core/record_book.py",
        figure="members looked for in vain",
        bound=0,
        mount=replay_old_records,
        patches=((RecordBook, "_judge", answer(Verdict.NEW)),),
    ),
    Row(
        name="forged-records",
        attack="newer records in 20 members' names, signed by somebody else",
        defence="a record is signed with the key that is the transport id",
        code="meshnode/core/peer_record.py",
        figure="members looked for in vain",
        bound=0,
        mount=forge_records,
        patches=((peer_record, "verify_ed25519", answer(True)),),
    ),
)
