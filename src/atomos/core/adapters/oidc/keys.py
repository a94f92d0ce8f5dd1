"""Public keys: what a provider publishes, and which of it can be used with which algorithm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jwt import PyJWK
from jwt.exceptions import PyJWTError

PublicKeys = Mapping[str, Mapping[str, PyJWK]]
"""By the key's id, and then by the algorithm whose signatures it checks."""


class Kind(NamedTuple):
    """The type that a key of an algorithm has, and its curve; None where there are no curves."""

    type: str
    curve: str | None = None


KINDS: Mapping[str, Kind] = {
    "RS256": Kind("RSA"),
    "RS384": Kind("RSA"),
    "RS512": Kind("RSA"),
    "PS256": Kind("RSA"),
    "PS384": Kind("RSA"),
    "PS512": Kind("RSA"),
    "ES256": Kind("EC", "P-256"),
    "ES384": Kind("EC", "P-384"),
    "ES512": Kind("EC", "P-521"),
    "EdDSA": Kind("OKP", "Ed25519"),
}
"""The algorithms that can be checked, each with the only kind of key that it is checked with."""

_LEAST_BITS = 2048
_LONGEST_ID = 255
_WRONG = (PyJWTError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What making a key of nonsense raises."""


def usable(published: Mapping[str, Any], algorithms: Sequence[str]) -> PublicKeys:
    """Take what can be used out of a JWK set; the rest of it is nobody's mistake. Raises ValueError for no set."""
    listed = published.get("keys")
    if not isinstance(listed, list):
        raise ValueError("There is no list `keys`.")  # noqa: TRY004 - it is the document that is wrong
    found: dict[str, dict[str, PyJWK]] = {}
    for each in listed:
        if isinstance(each, dict) and _is_for_signatures(each):
            for algorithm, key in _made(each, algorithms):
                found.setdefault(each["kid"], {}).setdefault(algorithm, key)
    return found


def _is_for_signatures(key: Mapping[str, Any]) -> bool:
    id_, use, operations = key.get("kid"), key.get("use", "sig"), key.get("key_ops", ["verify"])
    is_named = isinstance(id_, str) and 0 < len(id_) <= _LONGEST_ID
    # One that was published with its private half is everybody's.
    return (
        is_named
        and use == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in key
    )


def _made(key: Mapping[str, Any], algorithms: Sequence[str]) -> Iterator[tuple[str, PyJWK]]:
    for algorithm in algorithms:
        if key.get("alg", algorithm) != algorithm or _kind(key) != KINDS[algorithm]:
            continue
        try:
            made = PyJWK.from_dict(dict(key), algorithm)
        except _WRONG:
            continue
        if KINDS[algorithm].type != "RSA" or made.key.key_size >= _LEAST_BITS:
            yield algorithm, made


def _kind(key: Mapping[str, Any]) -> tuple[Any, Any]:
    return key.get("kty"), key.get("crv")
