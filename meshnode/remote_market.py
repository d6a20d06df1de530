"""The market of a node in another process: the part of `RemoteNode` that is about it."""
