"""Consensus by reading the DAG: a pure kernel, vertices in, commits out.

Nobody votes by message. Blocks are lane-1 vertices; what a block references is its vote and its
certificate, and every peer that holds the same blocks reads the same order out of them. `ordering`
is the door; behind it stand `validity` (what counts as a block), `block_store` (support and
reachability), `committer` over `decision` and `leader` (which leaders are committed), `linearizer`
and `payload` (what each puts out), and `commits` (the chain). `protocol` and `committee` hold the
thresholds, `clock` the round that may be built. `python -m consensus.conformance FILE.json` plays
cases written in a notation that other implementations share.
"""
