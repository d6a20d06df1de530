"""The simulator turned against us: meshes under drawn faults, seeded bugs, and ever smaller plans."""
