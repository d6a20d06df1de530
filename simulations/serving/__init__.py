"""Serving under virtual time: routers that choose, replicas that answer, and what users notice.

A run takes a trace of requests, a fleet of replicas, some routers that know only what they were
told, a routing policy and a list of faults. The policy of the mesh is the very `meshnode.routing`
that runs in a node; others are made again from their published descriptions.
"""
