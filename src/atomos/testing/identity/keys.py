"""Keys of a test identity provider: RSA, elliptic curves, Ed25519."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cache
from itertools import count
from typing import Any, NamedTuple

_numbers = count(1)
_POOL = 8


class SigningKey(NamedTuple):
    """A private key with the id under which its public half is published."""

    id: str
    algorithm: str
    private: Any

    def public(self) -> dict[str, Any]:
        """Give its public half as a JWK."""
        import jwt

        made = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return {**made, "kid": self.id, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: Mapping[str, Any] | bytes, headers: Mapping[str, Any] | None = None) -> str:
        """Sign claims, or bytes as they are; of `headers` those that are None are left out."""
        import jwt

        said = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.id, **(headers or {})}
        header = _json({name: value for name, value in said.items() if value is not None})
        signed = f"{_text(header)}.{_text(claims if isinstance(claims, bytes) else _json(claims))}"
        signature = jwt.get_algorithm_by_name(self.algorithm).sign(signed.encode(), self.private)
        return f"{signed}.{_text(signature)}"


def new_key(algorithm: str = "RS256") -> SigningKey:
    """Make a key. RSA keys come from a pool of eight, because each takes a while to find."""
    made = next(_numbers)
    private = _rsa(made % _POOL) if algorithm[:2] in ("RS", "PS") else _CURVES[algorithm]()
    return SigningKey(f"key-{made}", algorithm, private)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


@cache
def _rsa(_: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(65537, 2048)


def _elliptic(name: str) -> Callable[[], Any]:
    def make() -> Any:
        from cryptography.hazmat.primitives.asymmetric import ec

        return ec.generate_private_key(getattr(ec, name)())

    return make


def _edwards() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PrivateKey.generate()


_CURVES: Mapping[str, Callable[[], Any]] = {
    "ES256": _elliptic("SECP256R1"),
    "ES384": _elliptic("SECP384R1"),
    "ES512": _elliptic("SECP521R1"),
    "EdDSA": _edwards,
}
