"""How many lots a clairvoyant could match: maximum flow over all pairs that fit and meet in time."""

from __future__ import annotations

import networkx as nx
from networkx.algorithms.flow import dinitz

from market.workload import Op

SOURCE, SINK = "source", "sink"


def fit(offer: Op, bid: Op) -> bool:
    """Whether an offer of a `capacity` stream may serve a bid of it, as they come and expire."""
    _, _, offer_from, offer_owner, *given, ask, _, offer_until = offer
    _, _, bid_from, bid_owner, *asked, limit, _, bid_until = bid
    meet = offer_from < bid_until and bid_from < offer_until
    enough = all(one >= other for one, other in zip(given, asked, strict=True))
    return meet and enough and ask <= limit and offer_owner != bid_owner


def find_max_flow(ops: list[Op]) -> int:
    """Lots that can be matched at most."""
    offers = [op for op in ops if op[0] == "O"]
    bids = [op for op in ops if op[0] == "B"]
    graph = nx.DiGraph()
    graph.add_nodes_from((SOURCE, SINK))
    for offer in offers:
        graph.add_edge(SOURCE, offer[1], capacity=offer[8])
    for bid in bids:
        graph.add_edge(bid[1], SINK, capacity=bid[8])
        graph.add_edges_from((offer[1], bid[1]) for offer in offers if fit(offer, bid))
    return int(nx.maximum_flow_value(graph, SOURCE, SINK, flow_func=dinitz))
