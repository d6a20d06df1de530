"""The sans-I/O node: inputs in, effects out.

A pure machine: no sockets, clock, threads, disk or randomness. The shell feeds it `Input`s and
carries out the `Effect`s it answers with; the simulator does the same under virtual time.
"""
