#!/usr/bin/env python3
"""Checks the output of `remit audit prove CALL --json` with the journal's public key alone; nothing of remit is needed.

    verify_inclusion.py VKEY < proof.json     exit status 0: proved, 1: not

Formats: C2SP signed-note and tlog-checkpoint, Merkle tree and inclusion proof of RFC 9162 (section 2.1.3.2).
"""
import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def checkpoint(note: str, vkey: str) -> tuple[int, bytes]:
    """Size and root of a note that `vkey` signed."""
    name, key_id, encoded = vkey.strip().split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    assert key[0] == 1 and sha256(name.encode(), b"\n", key)[:4].hex() == key_id, "the key is malformed"
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    ours = [base64.b64decode(line.split(" ")[2], validate=True)
            for line in signatures.splitlines() if line.startswith(f"\u2014 {name} ")]
    signature = next(raw[4:] for raw in ours if raw[:4].hex() == key_id)
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature, text.encode())
    origin, size, root = text.splitlines()[:3]
    assert origin == name, "the checkpoint is of another journal"
    return int(size), base64.b64decode(root, validate=True)


def root_of(line: str, index: int, size: int, proof: list[bytes]) -> bytes:
    """The root that the leaf and its path lead to."""
    assert index < size, "the entry is younger than the checkpoint"
    here, last, root = index, size - 1, sha256(b"\x00", line.encode())
    for sibling in proof:
        assert last != 0, "the proof is too long"
        if here & 1 or here == last:
            root = sha256(b"\x01", sibling, root)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            root = sha256(b"\x01", root, sibling)
        here, last = here >> 1, last >> 1
    assert last == 0, "the proof is too short"
    return root


given = json.load(sys.stdin)
size, root = checkpoint(given["checkpoint"], sys.argv[1])
assert given["entries"], "nothing is proved"
for entry in given["entries"]:
    said = json.loads(entry["line"])
    assert said["seq"] == entry["entry"] and said["data"]["call"] == given["call"], "it is another entry"
    assert root_of(entry["line"], entry["entry"], size, [base64.b64decode(h) for h in entry["proof"]]) == root
    print(f"entry {entry['entry']} of {size} ({said['kind']}) is in the journal")
