"""Which replica serves a query: pure policy, integers only.

`router.Router` is the whole of it for the side that asks, `admission.Admission` for the side that
serves. Times are milliseconds of the caller's monotonic clock, costs microseconds, rates
nanoseconds per token; randomness comes in as integers.
"""
