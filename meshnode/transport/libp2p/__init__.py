"""The transport over py-libp2p: TCP, Noise and Yamux, hardened, inside asyncio."""
