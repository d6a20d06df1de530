"""Consensus by reading the DAG: a pure kernel. Its seam, `dag.order.Commit`, is fixed already.

Room for the committee, the commit rule, the linearizer and the pacemaker; nothing is here yet.
"""
