"""The market folded over commits: a pure kernel that imports `dag` and never `consensus`.

`state` is the whole of it as one state machine: money (`accounts`), orders with money behind them
(`desk`), what follows trades (`contracts`, `receipts`), guarantees (`windows`, `sla`), `reputation`, who
may offer (`attestation`) and what the committee does (`motions`). `commands` are what accounts say.
`book` is the continuous double auction of one instrument, with tiers; `matching`, `book_side` and
`expiry` are its parts, `orders` its messages and events, `instruments` and `tiers` what is traded.
`auction` is a call auction over limit orders. `workload`, `streams`, `scenario` and `conformance` let
anybody compare another book with this one.
"""
