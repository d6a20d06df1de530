"""Agents that trade: the market's own state machine, folded commit by commit in virtual time.

`exchange` makes commits of what accounts say, `serving` carries contracts to their payment, and
`schedules` knows what is best for all; other modules are kinds of agents. Nothing here stands in for
the market: money, orders, contracts and reputation are the real ones.
"""
