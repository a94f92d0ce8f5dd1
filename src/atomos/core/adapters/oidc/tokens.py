"""One token: its form, its signature, its claims, and whom it makes its bearer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt
from jwt.utils import base64url_decode

from ...service.credentials import Unauthenticated
from .objects import read_object
from .ring import KeyRing
from .rules import TokenRules

_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_NOT_SUPPORTED = ("crit", "b64")
_REQUIRED = ("exp", "iss", "aud")
_TIMES = ("exp", "nbf", "iat")
_LATEST = 10**12
_LONGEST_NAME = 255

_REASONS: Mapping[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "it has expired; get a new one",
    jwt.ImmatureSignatureError: "its time has not come, or the clocks differ",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.MissingRequiredClaimError: "it lacks one of the claims exp, iss and aud",
    jwt.PyJWTError: "it is damaged",
}


class Rejected(Unauthenticated):
    """A token is not accepted; `reason` is the end of a sentence that begins with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The token is not accepted: {reason}.")
        self.reason = reason


class Checked(NamedTuple):
    """What a token that was accepted says: whose it is, what that one may, until when (seconds since 1970)."""

    principal: str
    scopes: frozenset[str]
    ends: float
    key: str


class _StrictJwt(jwt.PyJWT):
    """Reads what was signed as strictly as everything else; the signature was right by then."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        claims = _read(decoded["payload"])
        for name in _TIMES:
            if name in claims and not _is_time(claims[name]):
                raise Rejected(f"its claim {name} is no time")
        return claims


class Tokens:
    """Checks tokens by the rules, with keys of the ring. Safe to share by threads."""

    def __init__(self, rules: TokenRules, ring: KeyRing) -> None:
        self.ring = ring
        self._rules = rules
        self._types = frozenset(map(_type, rules.types))
        self._jwt = _StrictJwt()

    def check(self, token: str) -> Checked:
        """Say whose token it is. Raises `Rejected`, and `Unavailable` where its key cannot be fetched."""
        algorithm, id_ = self._signed_with(token)
        keys = self.ring.find(id_)
        if keys is None:
            raise Rejected("its key is none that the issuer has")
        if algorithm not in keys:
            raise Rejected("its key is not for that algorithm")
        claims = self._claims(token, algorithm, keys[algorithm])
        name, scopes = self._name(claims), self._scopes(claims)
        return Checked(f"oidc:{self._rules.issuer}#{name}", scopes, float(claims["exp"]), id_)

    def _signed_with(self, token: str) -> tuple[str, str]:
        """Read with which algorithm and key a token says it is signed; whatever else it says of keys is passed over."""
        if not _FORM.fullmatch(token):
            raise Rejected("it has not the form of a signed JWT")
        header = _read(_bytes_of(token.partition(".")[0]))
        if any(name in header for name in _NOT_SUPPORTED):
            raise Rejected("its header asks for what is not supported")
        if _type(header.get("typ", "JWT")) not in self._types:
            raise Rejected("its type is another; oidc.types has those that are taken")
        algorithm, id_ = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._rules.algorithms:
            raise Rejected("its algorithm is none of those in oidc.algorithms")
        if not isinstance(id_, str) or not id_:
            raise Rejected("its header names no key")
        return algorithm, id_

    def _claims(self, token: str, algorithm: str, key: jwt.PyJWK) -> dict[str, Any]:
        rules = self._rules
        try:
            return self._jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=rules.audience,
                issuer=rules.issuer,
                leeway=rules.leeway,
                options={"require": list(_REQUIRED)},
            )
        except jwt.PyJWTError as error:
            raise Rejected(next(_REASONS[c] for c in type(error).__mro__ if c in _REASONS)) from error

    def _name(self, claims: Mapping[str, Any]) -> str:
        name = claims.get(self._rules.principal_claim)
        if (
            not isinstance(name, str)
            or not name.strip()
            or not name.isprintable()
            or len(name) > _LONGEST_NAME
        ):
            raise Rejected(f"its claim {self._rules.principal_claim} names nobody")
        return name

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        given = claims.get(self._rules.scopes_claim, "")
        scopes = given.split(" ") if isinstance(given, str) else given
        if not isinstance(scopes, list) or not all(isinstance(each, str) for each in scopes):
            raise Rejected(f"its claim {self._rules.scopes_claim} is no list of permissions")
        return frozenset(filter(None, scopes))


def _read(text: bytes) -> dict[str, Any]:
    try:
        return read_object(text)
    except ValueError as error:
        raise Rejected("it is damaged") from error


def _bytes_of(part: str) -> bytes:
    try:
        return base64url_decode(part)
    except ValueError as error:
        raise Rejected("it is damaged") from error


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < _LATEST


def _type(said: Any) -> str:
    return said.lower().removeprefix("application/") if isinstance(said, str) else ""
