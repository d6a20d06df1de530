"""Drives `meshnode.core` under virtual time: what is simulated is what runs.

Room for the event kernel, networks, faults and scenarios; nothing is here yet.
"""
