"""The asyncio shell of the sans-I/O core: disk, threads, timers and the one task that owns a node.

It takes no decision of the protocol. It feeds the core inputs and carries out the effects the core
answers with, in their order.
"""
