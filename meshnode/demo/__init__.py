"""A throw-away mesh of real processes on this machine: what `meshnode demo` shows."""
