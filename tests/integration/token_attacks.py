"""Tokens that must not be accepted, each with what is wrong with it, as data: add a row where you find another."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atomos.testing.identity import IdentityProvider
from atomos.testing.identity.keys import SigningKey, new_key

Make = Callable[[IdentityProvider], str]

DAMAGED = "it is damaged"
FORM = "it has not the form of a signed JWT"
ALGORITHM = "its algorithm is none of those in oidc.algorithms"
OTHER_KIND = "its key is not for that algorithm"
NO_KEY = "its header names no key"
UNKNOWN_KEY = "its key is none that the issuer has"
SIGNATURE = "its signature is wrong"
TYPE = "its type is another; oidc.types has those that are taken"
NOT_SUPPORTED = "its header asks for what is not supported"
EXPIRED = "it has expired; get a new one"
EARLY = "its time has not come, or the clocks differ"
AUDIENCE = "it is for another audience"
ISSUER = "it is of another issuer"
LACKS = "it lacks one of the claims exp, iss and aud"
NOBODY = "its claim sub names nobody"
SCOPES = "its claim scope is no list of permissions"
NO_KIND = "no kind that is accepted here"


class Attack(NamedTuple):
    """A token of a provider, and the reason for which it is refused; the token would be good but for that."""

    name: str
    make: Make
    reason: str


def text(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def part(**said: Any) -> str:
    return text(json.dumps(said).encode())


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(urlsafe_b64decode(payload + "==="))  # type: ignore[no-any-return]


def with_header(raw: str) -> Make:
    """Sign a header as it is written."""

    def make(provider: IdentityProvider) -> str:
        header, payload = text(raw.replace("KID", provider.keys[0].id).encode()), good(provider).split(".")[1]
        return signed(provider.keys[0], f"{header}.{payload}")

    return make


def signed(key: SigningKey, said: str) -> str:
    import jwt

    signature = jwt.get_algorithm_by_name(key.algorithm).sign(said.encode(), key.private)
    return f"{said}.{text(signature)}"


def hashed(secret: bytes, said: str) -> str:
    return f"{said}.{text(hmac.digest(secret, said.encode(), 'sha256'))}"


def good(provider: IdentityProvider, **more: Any) -> str:
    return provider.token(scope="stock:read stock:write", **more)


def headed(**headers: Any) -> Make:
    return lambda provider: good(provider, headers=headers)


def claiming(**claims: Any) -> Make:
    return lambda provider: good(provider, **claims)


def in_seconds(**claims: float) -> Make:
    return lambda provider: good(provider, **{name: time.time() + s for name, s in claims.items()})


def with_claims(change: Callable[[str], str]) -> Make:
    """Sign claims whose JSON was changed as text."""

    def make(provider: IdentityProvider) -> str:
        return provider.keys[0].sign(change(json.dumps(claims_of(good(provider)))).encode())

    return make


def with_parts(change: Callable[[str, str, str], str]) -> Make:
    def make(provider: IdentityProvider) -> str:
        header, payload, signature = good(provider).split(".")
        return change(header, payload, signature)

    return make


def forged(**headers: Any) -> Make:
    """Sign with a key of the attacker's own, under the id of the provider's."""

    def make(provider: IdentityProvider) -> str:
        return good(provider, key=new_key()._replace(id=provider.keys[0].id), headers=headers)

    return make


def with_own_key(provider: IdentityProvider) -> str:
    own = new_key()
    return good(provider, key=own, headers={"jwk": own.public()})


def with_public_key_as_secret(form: str) -> Make:
    def make(provider: IdentityProvider) -> str:
        public = provider.keys[0].private.public_key()
        secrets = {
            "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "jwk": json.dumps(provider.keys[0].public()).encode(),
            "modulus": provider.keys[0].public()["n"].encode(),
            "empty": b"",
        }
        header = part(alg="HS256", typ="at+jwt", kid=provider.keys[0].id)
        return hashed(secrets[form], f"{header}.{good(provider).split('.')[1]}")

    return make


def unsigned(algorithm: str) -> Make:
    def make(provider: IdentityProvider) -> str:
        header = part(alg=algorithm, typ="at+jwt", kid=provider.keys[0].id)
        return f"{header}.{good(provider).split('.')[1]}."

    return make


def flipped(header: str, payload: str, signature: str) -> str:
    first = "A" if signature[0] != "A" else "B"
    return f"{header}.{payload}.{first}{signature[1:]}"


def promoted(header: str, payload: str, signature: str) -> str:
    claims = claims_of(f".{payload}.")
    return f"{header}.{part(**{**claims, 'scope': 'operations:read'})}.{signature}"


def of_an_older_token(provider: IdentityProvider) -> str:
    header, payload, _ = good(provider).split(".")
    return f"{header}.{payload}.{good(provider, subject='bob').split('.')[2]}"


def nested(provider: IdentityProvider) -> str:
    return provider.keys[0].sign(b'{"a":' + b"[" * 5000)


def _signatures() -> Iterator[Attack]:
    for algorithm in ("none", "None", "NONE", "nOnE"):
        yield Attack(f"unsigned: {algorithm}", unsigned(algorithm), FORM)
        yield Attack(
            f"{algorithm}, with a signature",
            headed(alg=algorithm),
            ALGORITHM,
        )
    for form in ("pem", "der", "jwk", "modulus", "empty"):
        yield Attack(
            f"HS256 with the public key as its secret: {form}", with_public_key_as_secret(form), ALGORITHM
        )
    for algorithm in ("HS384", "HS512", "RS512", "ES256K", "ES521", "rs256", " RS256", "", "RSA-OAEP", "dir"):
        yield Attack(f"an algorithm that is not pinned: {algorithm!r}", headed(alg=algorithm), ALGORITHM)
    for said in (None, 256, True, ["RS256"], {"RS256": "RS256"}):
        yield Attack(f"an algorithm that is none: {said!r}", headed(alg=said), ALGORITHM)
    yield Attack("a pinned algorithm that the key is not for", headed(alg="ES256"), OTHER_KIND)
    yield Attack("signed by somebody else", forged(), SIGNATURE)
    yield Attack("signed by another key of a kind", lambda p: good(p, key=new_key()), UNKNOWN_KEY)
    yield Attack("with the key that it is signed with", with_own_key, UNKNOWN_KEY)
    yield Attack("another signature", with_parts(flipped), SIGNATURE)
    yield Attack("another content", with_parts(promoted), SIGNATURE)
    yield Attack("the signature of another token", of_an_older_token, SIGNATURE)
    yield Attack("half a signature", with_parts(lambda h, p, s: f"{h}.{p}.{s[:160]}"), SIGNATURE)
    yield Attack("a longer signature", with_parts(lambda h, p, s: f"{h}.{p}.{s}{s}"), SIGNATURE)
    yield Attack("a signature that is not base64url", with_parts(lambda h, p, s: f"{h}.{p}.A"), DAMAGED)


def _headers() -> Iterator[Attack]:
    for id_ in (
        "no-such-key",
        "../../etc/passwd",
        "' or 1=1 --",
        "key-1\x00",
        "k" * 2000,
        " ",
        "https://evil.example",
    ):
        yield Attack(f"a made-up key id: {id_[:30]!r}", headed(kid=id_), UNKNOWN_KEY)
    for said in (None, "", 1, True, ["key-1"], {"kid": "key-1"}):
        yield Attack(f"a key id that is none: {said!r}", headed(kid=said), NO_KEY)
    for type_ in (
        "JWT",
        "at+JWTx",
        "id+jwt",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "",
        None,
        7,
        ["at+jwt"],
    ):
        yield Attack(f"another type: {type_!r}", headed(typ=type_), TYPE)
    for name, said in (("crit", ["exp"]), ("crit", []), ("crit", "b64"), ("b64", False), ("b64", True)):
        yield Attack(f"{name} is {said!r}", headed(**{name: said}), NOT_SUPPORTED)
    yield Attack("crit that is known to libraries", headed(crit=["b64"], b64=False), NOT_SUPPORTED)
    twice = '{"alg":"RS256","typ":"at+jwt","kid":"KID","alg":"RS256"}'
    yield Attack("a header that says a thing twice", with_header(twice), DAMAGED)
    yield Attack("a header that is a list", with_header('["RS256"]'), DAMAGED)
    yield Attack("a header that is a number", with_header("1"), DAMAGED)
    yield Attack("a header that is not JSON", with_header("{alg: RS256}"), DAMAGED)
    yield Attack("a header that is not UTF-8", lambda p: f"{text(bytes([0xFF, 0xFE]))}.e30.AA", DAMAGED)
    yield Attack(
        "a header of NaN", with_header('{"alg":"RS256","typ":"at+jwt","kid":"KID","x":NaN}'), DAMAGED
    )
    yield Attack("a nested header", lambda p: f"{text(b'[' * 4000)}.e30.AA", DAMAGED)


def _forms() -> Iterator[Attack]:
    for name, change, reason in (
        ("no content", lambda h, p, s: f"{h}..{s}", FORM),
        ("no header", lambda h, p, s: f".{p}.{s}", FORM),
        ("three dots", lambda h, p, s: f"{h}.{p}.{s}.", NO_KIND),
        ("one dot", lambda h, p, s: f"{h}.{p}", NO_KIND),
        ("only dots", lambda h, p, s: "..", FORM),
        ("five parts, as an encrypted one has", lambda h, p, s: f"{h}.{p}.{s}.{p}.{s}", NO_KIND),
        ("padding", lambda h, p, s: f"{h}=.{p}.{s}", FORM),
        ("the other base64", lambda h, p, s: f"{h}.{p}.+/{s}", FORM),
        ("a space inside", lambda h, p, s: f"{h}.{p[:9]} {p[9:]}.{s}", FORM),
        ("a comma and another token", lambda h, p, s: f"{h}.{p}.{s},x", FORM),
        ("letters of other alphabets", lambda h, p, s: f"{h}.{p}.\xe9{s}", FORM),
        ("a JWS in JSON", lambda h, p, s: json.dumps({"protected": h, "a.b": p, "signature.": s}), FORM),
        ("a header without enough letters", lambda h, p, s: f"A.{p}.{s}", DAMAGED),
        ("too long", lambda h, p, s: f"{h}.{p}{'A' * 9000}.{s}", "`Bearer` and one token"),
    ):
        yield Attack(name, with_parts(change), reason)
    yield Attack("nested content", nested, DAMAGED)
    yield Attack("content that is a list", lambda p: p.keys[0].sign(b"[]"), DAMAGED)
    yield Attack("content that is no JSON", lambda p: p.keys[0].sign(b"ana"), DAMAGED)
    yield Attack("content that is not UTF-8", lambda p: p.keys[0].sign(b'{"sub":"\xff"}'), DAMAGED)


def _times() -> Iterator[Attack]:
    yield Attack("expired", in_seconds(exp=-31), EXPIRED)
    yield Attack("expired long ago", claiming(exp=1), EXPIRED)
    yield Attack("no end", claiming(exp=None), LACKS)
    yield Attack("not yet", in_seconds(nbf=35), EARLY)
    yield Attack("issued in the future", in_seconds(iat=35), EARLY)
    for name in ("exp", "nbf", "iat"):
        for said in ("1999999999", True, [1999999999], {}, "never", -1, 10**15, 1e300):
            yield Attack(f"{name} is {said!r}", claiming(**{name: said}), f"its claim {name} is no time")
        for number, reason in (
            ("null", f"its claim {name} is no time"),
            ("1e999", f"its claim {name} is no time"),
            ("NaN", DAMAGED),
            ("9" * 5000, DAMAGED),
        ):
            yield Attack(f"{name} is {number[:5]}", saying(name, number), reason)


def saying(name: str, number: str) -> Make:
    return with_claims(lambda t: json.dumps({**json.loads(t), name: "HERE"}).replace('"HERE"', number))


def _claims() -> Iterator[Attack]:
    for said in ("shop", "ORDERS", "orders ", "orders,shop", ["shop"], ["shop", "ORDERS"]):
        yield Attack(f"for {said!r}", claiming(aud=said), AUDIENCE)
    for odd in (7, {"orders": 1}, ["orders", 7], [["orders"]]):
        yield Attack(f"for {odd!r}", claiming(aud=odd), AUDIENCE)
    for empty in (None, "", []):
        yield Attack(f"for {empty!r}", claiming(aud=empty), LACKS)
    yield Attack("of another issuer", claiming(iss="https://evil.example"), ISSUER)
    yield Attack("of an issuer with a slash more", lambda p: good(p, iss=f"{p.issuer}/"), ISSUER)
    yield Attack("of an issuer in capitals", lambda p: good(p, iss=p.issuer.upper()), ISSUER)
    yield Attack("of two issuers", lambda p: good(p, iss=[p.issuer]), ISSUER)
    yield Attack("of nobody", claiming(iss=None), LACKS)
    for nobody in (None, "", " ", "\x00", "ana\x00", "a\nb", "\ud800", "x" * 256):
        yield Attack(f"sub is {nobody[:9] if nobody else nobody!r}", claiming(sub=nobody), NOBODY)
    for no_text in (7, ["ana"], {"ana": 1}, True):
        yield Attack(f"sub is {no_text!r}", claiming(sub=no_text), DAMAGED)
    for scope in (7, True, {"stock:read": True}, [7], ["stock:read", None], [["stock:read"]]):
        yield Attack(f"scope is {scope!r}", lambda p, s=scope: p.token(scope=s), SCOPES)
    for name, said in (("sub", "bob"), ("scope", "operations:read"), ("aud", "orders"), ("exp", 1999999999)):
        twice = f'"{name}": {json.dumps(said)}'
        yield Attack(f"{name} is there twice", with_claims(lambda t, t2=twice: f"{{{t2}, {t[1:]}"), DAMAGED)
    yield Attack(
        "a name in escapes is there twice", with_claims(lambda t: f'{{"s\\u0075b": "bob", {t[1:]}'), DAMAGED
    )


ATTACKS = [*_signatures(), *_headers(), *_forms(), *_times(), *_claims()]
