"""Many nodes that fold the same commits into copies of one market, while things go wrong.

`life` says what people say, `copies` are the nodes, and `checks` holds what must be true of every
market after every commit. A run is a pure function of its `Spec`.
"""
