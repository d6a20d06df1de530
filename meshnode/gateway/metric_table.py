"""Every metric of a node: its name, what it means, and where its samples come from.

Names begin with `meshnode_`, durations are seconds and sizes bytes, counters end in `_total`. No
label holds a peer or an account; those that clients or peers choose have a bounded number of values.
What a node's status shows as a number has a metric whose name says the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.gateway.metric_kinds import (
    Metric,
    Scrape,
    counted,
    list_states,
    make_gauge,
    measured,
    moved,
    of_engine,
    of_money,
    of_order,
    of_status,
    transported,
)
from meshnode.shell.measures import clip_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshnode.gateway.metric_kinds import Sample

PHASES: Final = ("opening", "joining", "connecting", "loading", "ready", "stopping")
STANDINGS: Final = ("follower", "recovering", "no_quorum", "active", "stopped")
MODELS_MAX: Final = 64
URUV_PER_RUV: Final = 1_000_000


def _list_offences(scrape: Scrape) -> Iterable[Sample]:
    found = {} if scrape.status is None else scrape.status.offences
    return [((offence,), count) for offence, count in sorted(found.items())]


def _list_models(scrape: Scrape) -> Iterable[Sample]:
    engine = None if scrape.status is None else scrape.status.engine
    models = () if engine is None else engine.models[:MODELS_MAX]
    return [((clip_value(m.id),), m.context_tokens or 0) for m in models]


def _list_sizes(scrape: Scrape) -> Iterable[Sample]:
    engine = None if scrape.status is None else scrape.status.engine
    models = () if engine is None else engine.models[:MODELS_MAX]
    return [((clip_value(m.id),), m.size_bytes) for m in models if m.size_bytes is not None]


def _find_standing(scrape: Scrape) -> str | None:
    order = None if scrape.status is None else scrape.status.consensus
    return None if order is None else order.standing


def _list_build(scrape: Scrape) -> Iterable[Sample]:
    return [((scrape.version,), 1)]


_PROCESS: Final = (
    Metric("meshnode_build_info", "info", "Which program this is.", ("version",), _list_build),
    make_gauge("ready", "1 while the node can be used.", lambda s: float(s.phase.ready)),
    Metric(
        "meshnode_phase",
        "gauge",
        "1 for the phase that the process is in.",
        ("phase",),
        list_states(PHASES, lambda s: s.phase.name),
    ),
    make_gauge(
        "phase_elapsed_seconds",
        "How long the process has been in its phase.",
        lambda s: s.phase.elapsed_ms / 1_000,
    ),
    measured(
        "event_loop_tasks",
        "gauge",
        "Tasks of the event loop; they follow connections and requests, and end with them.",
        (),
        lambda r: [((), r.telemetry["loop_tasks"])],
    ),
    measured(
        "event_loop_lag_seconds",
        "gauge",
        "How late the event loop ran its last timer.",
        (),
        lambda r: [((), r.telemetry["loop_lag_ms"] / 1_000)],
    ),
    measured(
        "event_loop_lag_max_seconds",
        "gauge",
        "How late it ever ran one.",
        (),
        lambda r: [((), r.telemetry["loop_lag_max_ms"] / 1_000)],
    ),
    Metric(
        "meshnode_http_requests_total",
        "counter",
        "HTTP requests that were answered.",
        ("route", "code"),
        lambda s: s.http.answered,
    ),
    make_gauge("http_requests_running", "HTTP requests under way.", lambda s: s.http.running),
)
_MESH: Final = (
    of_status(
        "uptime_seconds", "Since the node was opened.", lambda s: s.uptime_ms / 1_000, "uptime_ms"
    ),
    of_status("members", "Members of the mesh that are known.", lambda s: s.members, "members"),
    of_status(
        "peers_ready",
        "Peers that are connected and take part.",
        lambda s: s.peers_ready,
        "peers_ready",
    ),
    of_status("problems", "Problems that `meshnode status` names.", lambda s: len(s.problems)),
    of_status("vertices", "Vertices in the store.", lambda s: s.vertices, "vertices"),
    of_status("heads", "Vertices that nothing builds on yet.", lambda s: s.heads, "heads"),
    of_status("lamport", "Height of the DAG.", lambda s: s.lamport, "lamport"),
    of_status(
        "quarantined",
        "Vertices that wait for their ancestors.",
        lambda s: s.quarantined,
        "quarantined",
    ),
    of_status(
        "publishing", "1 while the node may publish.", lambda s: float(s.publishing == "ready")
    ),
    of_status("forks", "Authors that contradicted themselves.", lambda s: s.forks, "forks"),
    of_status(
        "unanswered",
        "Open questions that wait for this node's vote.",
        lambda s: s.unanswered,
        "unanswered",
    ),
    Metric(
        "meshnode_offences_total",
        "counter",
        "Rules that peers broke; what they sent was rejected.",
        ("offence",),
        _list_offences,
        ("offences.*",),
    ),
    counted(
        "vertices_admitted_total",
        "Vertices that entered the store since the start.",
        "vertices_admitted",
    ),
    counted("journal_records_total", "Records written to the journal.", "records_persisted"),
    counted("journal_transactions_total", "Transactions they were written in.", "transactions"),
    counted("core_batches_total", "Batches of inputs that the core has taken.", "batches"),
    moved("bytes_total", "Bytes over connections to peers.", "bytes"),
    moved("frames_total", "Frames over connections to peers.", "frames"),
    measured(
        "messages_sent_total",
        "counter",
        "Messages sent to peers, by what they say.",
        ("kind",),
        lambda r: r.telemetry["messages"],
    ),
    measured(
        "message_bytes_sent_total",
        "counter",
        "Bytes of those, before encryption.",
        ("kind",),
        lambda r: r.telemetry["message_bytes"],
    ),
    counted(
        "frames_dropped_total", "Frames not sent, because a peer takes no more.", "frames_not_taken"
    ),
    *(
        transported(counter, help_)
        for counter, help_ in (
            ("connections_opened", "Connections to and from peers that stood."),
            ("connections_closed", "Those that ended."),
            ("dials", "Attempts to connect to a peer."),
            ("dials_failed", "Those that failed."),
            ("handshakes_failed", "Connections that ended before they stood."),
            ("handshakes_refused", "Connections beyond a limit."),
            ("streams_opened", "Streams opened to peers; an answer takes one."),
            ("streams_accepted", "Streams that peers opened."),
            ("streams_refused", "Streams beyond a limit."),
            ("offences", "Breaches of framing, credit or stream rules."),
        )
    ),
)
_ASKING: Final = (
    measured(
        "requests_total",
        "counter",
        "Questions asked through this node that ended, by who answered and how.",
        ("model", "outcome"),
        lambda r: r.questions.ended,
    ),
    measured(
        "requests_running",
        "gauge",
        "Those that somebody answers now.",
        (),
        lambda r: [((), r.questions.running)],
    ),
    measured(
        "requests_waiting",
        "gauge",
        "Those that nobody answers yet.",
        (),
        lambda r: [((), r.questions.waiting)],
    ),
    measured(
        "request_duration_seconds",
        "histogram",
        "From question to last word, of those that were answered.",
        (),
        lambda r: [((), r.questions.duration)],
    ),
    measured(
        "time_to_first_token_seconds",
        "histogram",
        "From question to first word, of those that were answered.",
        (),
        lambda r: [((), r.questions.first_token)],
    ),
    measured(
        "tokens_total",
        "counter",
        "Tokens of those that were answered.",
        ("model", "direction"),
        lambda r: r.questions.tokens,
    ),
    measured(
        "spent_ruv_total",
        "counter",
        "What answers have cost.",
        (),
        lambda r: [((), r.questions.spent_uruv / URUV_PER_RUV)],
    ),
)
_SERVING: Final = (
    of_engine(
        "slots", "Questions that the own engine answers at once.", lambda e: e.slots, "slots"
    ),
    of_engine("running", "Questions that it answers now.", lambda e: e.running, "running"),
    of_engine("queued", "Questions that wait for it.", lambda e: e.queued, "queued"),
    Metric(
        "meshnode_model_context_tokens",
        "gauge",
        "Longest context of an own model; 0 where it is not known.",
        ("model",),
        _list_models,
        ("engine.models.context_tokens",),
    ),
    Metric(
        "meshnode_model_size_bytes",
        "gauge",
        "Size of an own model's weights.",
        ("model",),
        _list_sizes,
        ("engine.models.size_bytes",),
    ),
    measured(
        "served_answers_total",
        "counter",
        "Answers of the own engine, by who asked: self or peer.",
        ("model", "asker"),
        lambda r: r.work.answers,
    ),
    measured(
        "served_tokens_total",
        "counter",
        "Tokens of those.",
        ("model", "direction"),
        lambda r: r.work.tokens,
    ),
    measured(
        "served_duration_seconds",
        "histogram",
        "From arrival to last word, of those.",
        (),
        lambda r: [((), r.work.answer_duration)],
    ),
)
_ORDER: Final = (
    of_order("epoch", "Of the committee.", lambda c: c.epoch, "epoch"),
    of_order("round", "The last round that began.", lambda c: c.round, "round"),
    of_order("lag", "Rounds that began and are not decided.", lambda c: c.lag, "lag"),
    of_order("commit_index", "The last commit.", lambda c: c.commit_index, "commit_index"),
    of_order(
        "commit_time_seconds",
        "Its time, on which the validators agree.",
        lambda c: c.commit_time_ms / 1_000,
        "commit_time_ms",
    ),
    of_order("waiting", "Vertices that are not final yet.", lambda c: c.waiting, "waiting"),
    of_order(
        "behind",
        "Rounds that most peers hold and this node does not.",
        lambda c: c.behind,
        "behind",
    ),
    of_order(
        "idle_seconds",
        "Since the last commit.",
        lambda c: None if c.idle_ms is None else c.idle_ms / 1_000,
        "idle_ms",
    ),
    of_order("quorum", "Stake that decides.", lambda c: c.quorum, "quorum"),
    of_order(
        "conflicts", "Votes that contradict earlier ones.", lambda c: c.conflicts, "conflicts"
    ),
    of_order(
        "certified_commit",
        "The newest commit whose state a quorum stands for.",
        lambda c: c.certified_commit,
        "certified_commit",
    ),
    of_order(
        "pruned_lamport",
        "What was said up to here is not held.",
        lambda c: c.pruned_lamport,
        "pruned_lamport",
    ),
    of_order(
        "halted", "1 where nothing is put in order any more.", lambda c: float(bool(c.halted))
    ),
    of_order("validators", "Members of the committee.", lambda c: len(c.validators)),
    of_order(
        "validators_silent",
        "Those that make no blocks while others do.",
        lambda c: sum(v.silent for v in c.validators),
    ),
    of_order(
        "validators_connected",
        "Those that are this node or connected to it.",
        lambda c: sum(v.connected for v in c.validators),
    ),
    of_order("stake", "Stake of them all.", lambda c: sum(v.stake for v in c.validators)),
    Metric(
        "meshnode_consensus_standing",
        "gauge",
        "1 for the own part in it.",
        ("standing",),
        list_states(STANDINGS, _find_standing),
    ),
    measured(
        "commits_total", "counter", "Commits since the start.", (), lambda r: [((), r.work.commits)]
    ),
    measured(
        "ordered_total",
        "counter",
        "Vertices that they put out.",
        (),
        lambda r: [((), r.work.ordered)],
    ),
    measured(
        "commit_latency_seconds",
        "histogram",
        "From an own vertex to the commit that puts it out.",
        (),
        lambda r: [((), r.work.commit_latency)],
    ),
)
_MARKET: Final = (
    measured(
        "ruv",
        "gauge",
        "Own money, by what binds it; all but free is locked.",
        ("state",),
        lambda r: [((state,), uruv / URUV_PER_RUV) for state, uruv in r.market.money_uruv.items()],
        "money.free_uruv",
        "money.locked_uruv",
    ),
    measured(
        "orders_open",
        "gauge",
        "Own orders in the books.",
        ("side",),
        lambda r: [((side,), count) for side, count in r.market.orders.items()],
        "money.open_orders",
    ),
    of_money(
        "live_contracts",
        "Own contracts that have not ended.",
        lambda m: m.live_contracts,
        "live_contracts",
    ),
    measured(
        "trades_total",
        "counter",
        "Trades in the whole market, since its beginning.",
        (),
        lambda r: [((), r.market.trades)],
    ),
)
METRICS: Final = (*_PROCESS, *_MESH, *_ASKING, *_SERVING, *_ORDER, *_MARKET)
"""Every metric, by chapter."""
NOT_EXPORTED: Final = {
    "pid": "an identifier",
    "consensus.validators.stake": "a peer would be a label; their sum is exported",
    "consensus.validators.last_round": "a peer would be a label; silent ones are counted",
}
"""Numbers of the status without a metric, and why."""
