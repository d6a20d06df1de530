"""The market folded over commits: a pure kernel that imports `dag` and never `consensus`.

`book` is the continuous double auction of one instrument, with tiers; `matching`, `book_side` and
`expiry` are its parts, `orders` its messages and events, `instruments` and `tiers` what is traded.
`auction` is a call auction over limit orders. `workload`, `streams`, `scenario` and `conformance` let
anybody compare another book with this one.
"""
