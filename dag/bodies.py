"""What the bodies of the kinds this version knows hold.

A body is the canonical MessagePack array of its record. Intake never reads bodies, apart from
profiles, which carry keys; whoever uses a kind decodes it here. A body that does not decode is
inert: stored, ordered, without effect.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from dag.canonical import CanonicalDecoder, SizedDecoder
from dag.types import BODY_BYTES_MAX, COUNTER_MAX, ID_BYTES


class Invitation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member's word that the holder of a secret may join; the ticket carries the secret.

    `bearer_key` is a one-time Ed25519 public key. The joiner proves that it held the ticket by
    signing its own author id with the bearer's secret, so a published invitation is worthless to
    whoever merely reads it.
    """

    network: bytes
    inviter: bytes
    bearer_key: bytes
    role: str
    """'peer' or 'validator'."""
    uses: int
    """How many authors may join with it; counted in commit order."""
    expires_ms: int
    """0 for never. A matter of local policy and of commit time, never of intake."""
    grant_uruv: int


class SignedInvitation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An invitation as canonical bytes, the inviter's suite signature, and the bearer's proof."""

    invitation: bytes
    signature: bytes
    bearer_proof: bytes
    """Ed25519 signature of the bearer key over the joiner's author id; empty in a ticket."""


class ProvenInvitation(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1
):
    """An invitation that anybody can verify: a later profile carries it instead of a signed one."""

    invitation: bytes
    """Canonical `SignedInvitation`, the bearer's proof included."""
    ed25519_key: bytes
    """The inviter's signing keys, which its author id binds: so the invitation proves itself."""
    mldsa65_key: bytes


class Profile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An author's keys and addresses: the body of its first vertex, and of later updates."""

    ed25519_key: bytes
    mldsa65_key: bytes
    """Empty where the network's suite is 'ed25519'."""
    x25519_key: bytes
    mlkem768_key: bytes
    libp2p_key: bytes
    """Ed25519 public key of the transport, 32 bytes."""
    name: str
    addresses: tuple[str, ...]
    invitation: bytes
    """Canonical `SignedInvitation`; empty for founders and in open networks.

    In a profile that is said again, `ProvenInvitation`: intake reads that of first profiles only.
    """


class Result(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A reasoning result, authored by the peer that reasoned."""

    request_digest: bytes
    """SHA-256 under its domain of the request's canonical JSON."""
    requester: bytes
    """Author id of who asked."""
    model: str
    model_revision: str
    engine: str
    answer: str
    """Empty where only the digest is shared."""
    answer_digest: bytes
    answer_bytes: int
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    queued_ms: int
    first_token_ms: int
    total_ms: int


class Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Knowledge an agent shares."""

    media_type: str
    title: str
    content: bytes


class BlobRef(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Names content that is too large for a body; `meshnode.core.blob_manifest` says how."""

    id: Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=COUNTER_MAX)]


class BlobResult(Result, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A result whose answer is a blob: the form of `Result` with one field more, `answer` empty."""

    blob: BlobRef
    """The answer in UTF-8."""


class BlobNote(Note, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A note whose content is a blob: the form of `Note` with one field more, `content` empty."""

    blob: BlobRef


class Testimony(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One side of a fork: a vertex's header and signature, and its body where the rule needs it."""

    header: bytes
    """Canonical `dag.vertex.Header`."""
    signature: bytes
    body: bytes
    """Empty where the slot (author, lane, seq) alone proves the fork."""


class Evidence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Two signed headers of one slot: proof of a fork, carried as bytes, without parents."""

    first: Testimony
    second: Testimony


class StakeChange(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an author's stake is to be; 0 takes its seat away."""

    author: bytes
    stake: int


class CommitteeChange(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How the committee of the next epoch differs from the current one."""

    stakes: tuple[StakeChange, ...] = ()
    """Validators to add, remove or re-weigh, each named once."""
    profile: Literal["", "bft3", "bft5", "cft"] = ""
    """The next consensus profile; empty keeps the current one."""
    gc_commits: int = 0
    """The next value of the genesis parameter of this name; 0 keeps the current one."""


class ProposalBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """A question put to the mesh. `consensus.proposal_rules` says which ones have effect."""

    question: str
    options: tuple[str, ...]
    deadline_ms: int
    """The commit time at which it closes."""
    electorate: Literal["stake", "members"]
    """Whose ballots weigh: validators by their stake, or every member alike."""
    threshold_num: int
    threshold_den: int
    """An option wins with strictly more than num / den of the electorate."""
    action: CommitteeChange | None = None
    """What happens when it passes, beyond the answer itself."""


class BallotBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """An answer to a proposal; the author's last one before the close counts."""

    proposal: bytes
    """Id of the vertex that put the question."""
    option: int
    """Position among the proposal's options."""
    reason: str = ""


class SeatRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """A member that was invited as a validator asks to be proposed as one."""

    invitation: bytes
    """Canonical `SignedInvitation`, the bearer's proof included."""
    ed25519_key: bytes
    """The inviter's signing keys, which its author id binds: so the request proves itself."""
    mldsa65_key: bytes


class ExpulsionBody(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4
):
    """A proposal that the validators expel a member; it opens as a question of yes or no."""

    member: bytes
    reason: str
    deadline_ms: int
    """The commit time at which it closes."""


class InvitationRevocation(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1
):
    """The author takes back an invitation that it issued: nobody comes in with it any more."""

    bearer_key: bytes
    """Names the invitation among those of its inviter."""


class IdentityRevocation(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2
):
    """The author ends its own identity, for good: its keys were stolen, or it leaves."""

    reason: str


class Vouching(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """The author speaks for a newcomer of an open network, whose time of probation ends by that."""

    newcomer: bytes


PROFILE_DECODER: Final = CanonicalDecoder(Profile, what="profile", bytes_max=BODY_BYTES_MAX)
RESULT_DECODER: Final[SizedDecoder[Result]] = SizedDecoder(
    Result, BlobResult, what="result", bytes_max=BODY_BYTES_MAX
)
NOTE_DECODER: Final[SizedDecoder[Note]] = SizedDecoder(
    Note, BlobNote, what="note", bytes_max=BODY_BYTES_MAX
)
EVIDENCE_DECODER: Final = CanonicalDecoder(Evidence, what="evidence", bytes_max=BODY_BYTES_MAX)
DecisionBody = ProposalBody | BallotBody | SeatRequest | ExpulsionBody
MembershipBody = InvitationRevocation | IdentityRevocation | Vouching

DECISION_DECODER: Final[CanonicalDecoder[DecisionBody]] = CanonicalDecoder(
    DecisionBody,  # type: ignore[arg-type]  # msgspec reads unions as types
    what="decision",
    bytes_max=BODY_BYTES_MAX,
)
MEMBERSHIP_DECODER: Final[CanonicalDecoder[MembershipBody]] = CanonicalDecoder(
    MembershipBody,  # type: ignore[arg-type]  # msgspec reads unions as types
    what="word on membership",
    bytes_max=BODY_BYTES_MAX,
)
INVITATION_DECODER: Final = CanonicalDecoder(Invitation, what="invitation", bytes_max=512)
SIGNED_INVITATION_DECODER: Final = CanonicalDecoder(
    SignedInvitation, what="signed invitation", bytes_max=8_192
)
PROVEN_INVITATION_DECODER: Final = CanonicalDecoder(
    ProvenInvitation, what="proven invitation", bytes_max=12_288
)
REQUEST_DOMAIN: Final = b"meshnode/request/1"
ANSWER_DOMAIN: Final = b"meshnode/answer/1"
INVITATION_DOMAIN: Final = b"meshnode/invitation/1"
BEARER_DOMAIN: Final = b"meshnode/bearer/1"
