"""The signed DAG: vertices, identities, intake and what can be read off them.

The floor of the project: a pure kernel without I/O, clock or randomness. Nothing here knows peers,
connections, consensus or markets.
"""
