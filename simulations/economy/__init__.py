"""Agents that trade: the market's own state machine, folded commit by commit in virtual time.

`exchange` makes commits of what accounts say, `serving` carries contracts to their payment,
`schedules` knows what is best for all, and `charts` draws samples while it goes on. Nothing here
stands in for the market: money, orders, contracts and reputation are the real ones.
"""
