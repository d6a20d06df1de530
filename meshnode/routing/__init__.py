"""Which replica serves a query: pure policy, integers only."""
