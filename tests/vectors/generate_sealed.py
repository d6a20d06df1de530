"""Writes `sealed.json`: sealed streams that another implementation must reproduce, byte by byte.

    python -m tests.vectors.generate_sealed

Bytes are in hex. The two encapsulations are one valid example each, for libraries draw them at random;
they are kept as long as the secrets find in them what is written here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dag.canonical import encode
from dag.kem import Encapsulated, get_secret_kem
from meshnode.sealed.frames import Sealer, compute_padded_bytes
from meshnode.serving.protocol import encode_frame
from tests.support.sealing import (
    ALICE,
    BOB,
    Party,
    accept,
    begin,
    bind,
    draw,
    encapsulate_to,
)

PATH = Path(__file__).with_name("sealed.json")
Json = dict[str, Any]
CONTENTS = (b"a question", b"", bytes(255), bytes(256), bytes(59_000))
SIZES = (1, 255, 256, 257, 2_048, 2_049, 10_000, 59_006, 59_974)


def describe_party(party: Party) -> Json:
    """A side's secrets and what follows from them."""
    secrets = party.ring.current.secrets
    return {
        "author": party.author.hex(),
        "x25519_seed": secrets.x25519_seed.hex(),
        "mlkem768_seed": secrets.mlkem768_secret.hex(),
        "x25519_key": party.keys.x25519_key.hex(),
        "mlkem768_key": party.keys.mlkem768_key.hex(),
        "key_id": party.keys.id.hex(),
    }


def keep(before: Json, name: str, party: Party) -> Encapsulated:
    """The encapsulation in the file, if it is one to this side; else a new one."""
    kept = before.get(name)
    if kept is not None:
        ciphertext = bytes.fromhex(kept["ciphertext"])
        secret = party.ring.current.mlkem768_secret
        found = get_secret_kem(secret).decapsulate(secret, ciphertext)
        if found.hex() == kept["shared"]:
            return Encapsulated(found, ciphertext)
    return encapsulate_to(party)


def show(encapsulated: Encapsulated) -> Json:
    return {"shared": encapsulated.shared.hex(), "ciphertext": encapsulated.ciphertext.hex()}


def describe_frames(key: bytes) -> list[Json]:
    """All contents in one direction, the last one marked as the last."""
    sealer = Sealer(key)
    frames = [(content, sealer.seal(content)) for content in CONTENTS]
    frames.append((b"", sealer.seal(b"", last=True)))
    return [
        {
            "content_bytes": len(content),
            "content_start": content[:16].hex(),
            "box": describe(box.box),
        }
        for content, box in frames
    ]


def describe(data: bytes) -> Json:
    """Bytes in full where they are few, else their size and both ends."""
    if len(data) <= 600:
        return {"bytes": data.hex()}
    return {"size": len(data), "start": data[:32].hex(), "end": data[-32:].hex()}


def build(before: Json) -> Json:
    """The file's content."""
    to_bob, to_alice = keep(before, "to_server", BOB), keep(before, "to_asker", ALICE)
    asking = begin(encapsulated=to_bob)
    accepted, keys = accept(asking, encapsulated=to_alice)
    return {
        "asker": describe_party(ALICE),
        "server": describe_party(BOB),
        "asker_ephemeral_seed": draw("e").hex(),
        "server_ephemeral_seed": draw("f").hex(),
        "to_server": show(to_bob),
        "to_asker": show(to_alice),
        "binding": encode(bind()).hex(),
        "open": encode_frame(asking.open).hex(),
        "accept": encode_frame(accepted).hex(),
        "ask_key": keys.ask.hex(),
        "answer_key": keys.answer.hex(),
        "ask_frames": describe_frames(keys.ask),
        "answer_frames": describe_frames(keys.answer),
        "padded": {str(size): compute_padded_bytes(size) for size in SIZES},
    }


def read() -> Json:
    """What the file holds; nothing before the first time."""
    loaded: Json = json.loads(PATH.read_text()) if PATH.exists() else {}
    return loaded


def main() -> None:
    """Write the file."""
    PATH.write_text(json.dumps(build(read()), indent=1) + "\n")


if __name__ == "__main__":
    main()
