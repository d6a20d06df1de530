"""The market folded over commits: a pure kernel that imports `dag` and never `consensus`.

Room for accounts, the order book, contracts and reputation; nothing is here yet.
"""
