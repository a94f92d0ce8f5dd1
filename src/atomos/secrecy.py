"""Whether a secret can be guessed: by how it repeats itself, counts on, or is made of words that stand for one."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

LEAST_BITS = 96
"""A secret of fewer bits can be guessed; 32 random characters of Base64 have 192 at most."""

PLACEHOLDERS = (
    "admin",
    "change",
    "character",
    "default",
    "deploy",
    "develop",
    "dummy",
    "example",
    "letme",
    "passw",
    "placeholder",
    "product",
    "qwert",
    "random",
    "replace",
    "sample",
    "secret",
    "test-",
    "your-",
)
"""Parts of words that stand where a secret has to be put. By chance, one of 80,000 random secrets has one."""

_ZLIB_BYTES = 8


def can_be_guessed(secret: str) -> bool:
    """Whether somebody may find a secret without trying them all. What nobody can know from it alone is not found."""
    lower = secret.lower()
    return any(each in lower for each in PLACEHOLDERS) or _bits(secret) < LEAST_BITS


def _bits(secret: str) -> float:
    """Estimate by how often each character and each step to the next one comes, and by what compression leaves."""
    steps = [ord(second) - ord(first) for first, second in pairwise(secret)]
    compressed = 8.0 * (len(zlib.compress(secret.encode(), 9)) - _ZLIB_BYTES)
    return min(_entropy(secret), _entropy(steps), compressed)


def _entropy(symbols: Sequence[object]) -> float:
    counts = Counter(symbols).values()
    return -sum(count * math.log2(count / len(symbols)) for count in counts)
