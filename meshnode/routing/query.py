"""What a query needs of the replica that gets it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

AUTO_MODEL = "auto"
"""The model name that leaves the choice to the router."""


class Privacy(StrEnum):
    """Who may see a prompt."""

    MESH = "mesh"
    """Any peer; prefixes may be matched."""
    TRUSTED = "trusted"
    """This node and peers its owner trusts; prefixes are not matched."""
    LOCAL = "local"
    """This node only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query, as far as routing looks at it. It holds no text."""

    model: str = AUTO_MODEL
    revision: str = ""
    """The revision that has to serve it; empty for any."""
    tenant: str = ""
    """Who asks here: lengths of answers are learned per tenant and model."""
    requester: bytes = b""
    """Author who asks; empty for this node's own users."""
    prompt_tokens: int = 0
    """Counted or estimated."""
    max_output_tokens: int = 0
    """0 where the query sets no limit."""
    reserved_tokens: int = 0
    """Output tokens that the model's context must have room for beside the prompt."""
    remaining_ms: int = 120_000
    """Until the whole answer must be there."""
    first_token_ms: int = 60_000
    """Until the first token must be there."""
    tools: bool = False
    thinking: bool = False
    privacy: Privacy = Privacy.MESH
    prefix: tuple[int, ...] = ()
    """Chained digests of the prompt's blocks (`affinity.digest_prefix`); empty to opt out."""
    peer: str = ""
    """Ask only this peer, by its id."""
    tried: tuple[str, ...] = ()
    """Ids of peers that were asked already."""
    again: bool = False
    """Whether it was sent before, and after a wait nobody is passed over for it any more."""
    hedgeable: bool = True
    """Off for what is paid, runs tools, or must not be asked twice for another reason."""
    may_resume: bool = False
    """Whether an answer that broke off may be continued by another replica."""
    deterministic: bool = False
    """Whether the query asks for a seed: two replicas must not share its answer."""
