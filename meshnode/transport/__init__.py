"""The network: one port, an in-process implementation and one over libp2p."""
