"""Many runs of scenarios: on any engine, resumable, split over machines, and always the same.

`sweep` takes tasks, an engine and a store; results are equal byte for byte whatever engine made
them, so their digest is too.
"""
