"""Finding members whose addresses are not known, or are not what they were.

What is decided without I/O stands in `meshnode.core` (`peer_record`, `record_book`, `visiting`);
here is what talks: to the LAN (`mdns`), to rendezvous points (`rendezvous`), to relays (`upkeep`).
Nothing found is trusted: it leads to a dial, and the connection proves who is there.
"""
