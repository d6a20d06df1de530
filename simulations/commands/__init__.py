"""The simulator's command line, a module for each command; see `program`."""
