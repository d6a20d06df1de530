"""The market folded over commits: a pure kernel that imports `dag` and never `consensus`.

`auction` is a call auction over limit orders. Accounts, the order book, contracts and reputation have
their room here and are not built yet.
"""
