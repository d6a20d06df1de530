"""The local HTTP door of a node."""
