"""Chance that can be repeated.

Owns where randomness comes from: the id of the generation. Invariant: equal arguments, equal luck.
"""

import hashlib


def luck(seed: str, label: str) -> float:
    """A number from 0 up to 1 that depends on nothing but its arguments."""
    digest = hashlib.blake2b(f"{seed}\0{label}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
