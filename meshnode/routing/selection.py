"""Judges the replicas for one query and picks among those that can take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshnode.routing.affinity import BLOCK_TOKENS, PrefixIndex
from meshnode.routing.cooldown import Cooldowns
from meshnode.routing.cost import compute_cost
from meshnode.routing.decision import Candidate, Decision, Obstacle, Reason
from meshnode.routing.detection import Vitality
from meshnode.routing.draws import derive, happens
from meshnode.routing.eligibility import Refusal, find_obstacle, find_offer
from meshnode.routing.lengths import OutputLengths
from meshnode.routing.query import Privacy, Query
from meshnode.routing.replica_state import ReplicaState
from meshnode.routing.settings import Settings

if TYPE_CHECKING:
    from meshnode.routing.report import ModelOffer
    from meshnode.routing.service_state import ServiceState

_SAMPLE, _EXPLORE, _EXPLORED, _TIE = range(4)
"""What a draw is used for."""


@dataclass(slots=True, kw_only=True)
class Knowledge:
    """All that a choice looks at."""

    settings: Settings
    block_tokens: int
    states: dict[str, ReplicaState]
    prefixes: PrefixIndex
    cooldowns: Cooldowns
    lengths: OutputLengths

    @classmethod
    def make(cls, settings: Settings, block_tokens: int = BLOCK_TOKENS) -> Knowledge:
        """Nothing known yet."""
        return cls(
            settings=settings,
            block_tokens=block_tokens,
            states={},
            prefixes=PrefixIndex(),
            cooldowns=Cooldowns(),
            lengths=OutputLengths(settings.output_tokens_start),
        )


def choose(knowledge: Knowledge, query: Query, *, now_ms: int, draw: int) -> Decision:
    """The replica with the least predicted cost, and how each one was judged."""
    depths = _find_depths(knowledge, query, now_ms)
    states = _list_scored(knowledge, depths, draw)
    candidates = [_judge(knowledge, state, query, depths, now_ms) for state in states]
    candidates = _limit_ejection(knowledge, query, candidates, depths, now_ms)
    eligible = [each for each in candidates if each.obstacle is None]
    if not eligible:
        wait_ms = _find_wait(knowledge, candidates, now_ms)
        return Decision(None, Reason.NONE_ELIGIBLE, tuple(candidates), wait_ms)
    chosen, reason = _pick(knowledge, eligible, now_ms, draw)
    return Decision(chosen, reason, tuple(candidates))


def _pick(
    knowledge: Knowledge, eligible: list[Candidate], now_ms: int, draw: int
) -> tuple[Candidate, Reason]:
    if len(eligible) == 1:
        reason = Reason.LAST_RESORT if eligible[0].is_suspect else Reason.ONLY_CANDIDATE
        return eligible[0], reason
    settings = knowledge.settings
    if happens(derive(draw, _EXPLORE), settings.exploration_permille):
        unused = [
            each
            for each in eligible
            if not each.is_suspect and _is_unused(knowledge, each.peer, now_ms)
        ]
        if unused:
            return unused[derive(draw, _EXPLORED) % len(unused)], Reason.EXPLORATION
    sound = [each for each in eligible if not each.is_suspect]
    pool = sound or eligible
    pool = [each for each in pool if each.is_cold] or pool
    least = min(pool, key=_rank)
    equals = [each for each in pool if _rank(each) == _rank(least)]
    chosen = equals[derive(draw, _TIE) % len(equals)]
    return chosen, Reason.LEAST_COST if sound else Reason.LAST_RESORT


def _rank(candidate: Candidate) -> tuple[int, int]:
    return candidate.cost_us, candidate.requests


def _is_unused(knowledge: Knowledge, peer: str, now_ms: int) -> bool:
    """Whether what is believed of a replica's speed is too old to turn a query away for."""
    used_ms = knowledge.states[peer].used_ms
    return used_ms is None or now_ms - used_ms >= knowledge.settings.exploration_ms


def _find_depths(knowledge: Knowledge, query: Query, now_ms: int) -> dict[str, int]:
    if query.privacy is not Privacy.MESH or not query.prefix:
        return {}
    return knowledge.prefixes.find_depths(query.prefix, now_ms=now_ms)


def _list_scored(knowledge: Knowledge, depths: dict[str, int], draw: int) -> list[ReplicaState]:
    """All replicas sorted by id; of very many a sample, the best holders and the own engine."""
    states = knowledge.states
    settings = knowledge.settings
    peers = sorted(states)
    if len(peers) <= settings.scored_max:
        return [states[peer] for peer in peers]
    holders = sorted(depths, key=lambda peer: (-depths[peer], peer))[: settings.holders_max]
    kept = dict.fromkeys(holders)
    kept.update(dict.fromkeys(peer for peer in peers if states[peer].peer.local))
    for turn in range(settings.sampled):
        place = derive(draw, (turn << 8) + _SAMPLE) % len(peers)
        kept[peers.pop(place)] = None
    return [states[peer] for peer in sorted(kept)]


def _judge(
    knowledge: Knowledge,
    state: ReplicaState,
    query: Query,
    depths: dict[str, int],
    now_ms: int,
    *,
    spared: bool = False,
) -> Candidate:
    """A candidate with its cost or its obstacle; `spared` ones are not held back by a breaker."""
    settings = knowledge.settings
    refusal = find_obstacle(state, query, settings, now_ms)
    if refusal is not None:
        return _refuse(state, refusal, now_ms)
    assert state.report is not None, "a replica that reported nothing has an obstacle"
    offer, refusal = find_offer(state.report, query)
    if offer is None:
        assert refusal is not None, "no model without a reason"
        return _refuse(state, refusal, now_ms)
    vitality = state.heartbeats.judge(now_ms)
    service = state.find_service(offer.id)
    refusal = _find_trouble(knowledge, state, service, vitality, now_ms, spared=spared)
    if refusal is not None:
        return _refuse(state, refusal, now_ms, offer)
    depth = depths.get(state.peer.id, 0)
    candidate = _price(knowledge, state, query, offer, depth=depth, now_ms=now_ms)
    patience_ms = min(query.first_token_ms, query.remaining_ms)
    if candidate.first_token_us > patience_ms * settings.deadline_permille and not _is_unused(
        knowledge, state.peer.id, now_ms
    ):
        detail = f"a first token is expected after {candidate.first_token_us // 1_000} ms"
        return candidate._replace(obstacle=Obstacle.DEADLINE, detail=detail)
    if vitality is Vitality.ALIVE and now_ms - state.received_ms <= settings.suspect_ms:
        return candidate
    return candidate if state.peer.local else candidate._replace(is_suspect=True)


def _find_trouble(
    knowledge: Knowledge,
    state: ReplicaState,
    service: ServiceState,
    vitality: Vitality,
    now_ms: int,
    *,
    spared: bool,
) -> Refusal | None:
    """Why a replica that could serve the query is left alone for now."""
    if vitality is Vitality.DEAD:
        return Obstacle.DEAD, "others cannot reach it either"
    if service.is_disabled(now_ms):
        return Obstacle.DISABLED, "refused the model for good"
    wait_ms = knowledge.cooldowns.wait_ms(state.domain, now_ms)
    if wait_ms:
        return Obstacle.COOLDOWN, f"busy or out of its limits for {wait_ms} ms"
    if not (spared or service.breaker.allows(now_ms)):
        wait_ms = max(0, (service.breaker.until_ms or 0) - now_ms)
        return Obstacle.BREAKER, f"broke too often: left alone for {wait_ms} ms"
    return None


def _price(
    knowledge: Knowledge,
    state: ReplicaState,
    query: Query,
    offer: ModelOffer,
    *,
    depth: int,
    now_ms: int,
) -> Candidate:
    settings = knowledge.settings
    cached = min(depth * knowledge.block_tokens, query.prompt_tokens)
    miss = max(settings.miss_tokens_min, query.prompt_tokens - cached)
    requests = state.requests
    queue_tokens = state.queue_tokens
    cost = compute_cost(
        state,
        state.find_service(offer.id).rates,
        settings,
        requests=requests,
        work_tokens=queue_tokens + miss,
        output_tokens=knowledge.lengths.predict(query.tenant, offer.id, query.max_output_tokens),
        now_ms=now_ms,
    )
    # Without keywords: every choice builds one of these for each replica.
    return Candidate(
        state.peer.id,
        state.name,
        offer.id,
        offer.revision,
        None,
        "",
        cost.total_us,
        state.rtt_us,
        cost.first_token_us,
        cost.prefill_us,
        cost.decode_us,
        cost.penalty_us,
        cached,
        miss,
        queue_tokens,
        requests,
        state.slots,
        state.age_ms(now_ms),
        requests < state.slots,
        False,
    )


def _refuse(
    state: ReplicaState, refusal: Refusal, now_ms: int, offer: ModelOffer | None = None
) -> Candidate:
    return Candidate(
        peer=state.peer.id,
        name=state.name,
        model="" if offer is None else offer.id,
        revision="" if offer is None else offer.revision,
        obstacle=refusal[0],
        detail=refusal[1],
        cost_us=0,
        rtt_us=state.rtt_us,
        first_token_us=0,
        prefill_us=0,
        decode_us=0,
        penalty_us=0,
        cached_tokens=0,
        miss_tokens=0,
        queue_tokens=state.queue_tokens,
        requests=state.requests,
        slots=state.slots,
        age_ms=state.age_ms(now_ms),
        is_cold=state.requests < state.slots,
        is_suspect=False,
    )


def _limit_ejection(
    knowledge: Knowledge,
    query: Query,
    candidates: list[Candidate],
    depths: dict[str, int],
    now_ms: int,
) -> list[Candidate]:
    """Breakers hold back at most half of a pool, or its only member: beyond it the least broken."""
    ejected = [each for each in candidates if each.obstacle is Obstacle.BREAKER]
    pool = len(ejected) + sum(each.obstacle is None for each in candidates)
    excess = len(ejected) - max(1, pool // 2)
    if excess <= 0:
        return candidates
    ejected.sort(key=lambda each: (_reopens_ms(knowledge, each), each.peer))
    spared = [each.peer for each in ejected[:excess]]
    return [
        _judge(knowledge, knowledge.states[each.peer], query, depths, now_ms, spared=True)
        if each.peer in spared
        else each
        for each in candidates
    ]


def _reopens_ms(knowledge: Knowledge, candidate: Candidate) -> int:
    service = knowledge.states[candidate.peer].find_service(candidate.model)
    return service.breaker.until_ms or 0


def _find_wait(knowledge: Knowledge, candidates: list[Candidate], now_ms: int) -> int:
    """When the first of the replicas that are left alone may be asked again; 0 for none of them."""
    waits: list[int] = []
    for each in candidates:
        if each.obstacle is Obstacle.COOLDOWN:
            domain = knowledge.states[each.peer].domain
            waits.append(knowledge.cooldowns.wait_ms(domain, now_ms))
        elif each.obstacle is Obstacle.BREAKER:
            waits.append(max(1, _reopens_ms(knowledge, each) - now_ms))
    return min(waits, default=0)
