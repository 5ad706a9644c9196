"""Access tokens that must open nothing, made from one that opens everything."""

import base64
import hashlib
import hmac
import json
from typing import Any

from jose import jwt

from crm_api.settings import Settings

# A public key in PEM, which a verifier that lets the token choose its algorithm would take for an HMAC secret.
_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----"""


def forged_tokens(settings: Settings, token: str) -> dict[str, str]:
    """Every way in which a token can be wrong, by name."""
    key = settings.jwt_secret_key.get_secret_value()
    claims = _claims(token)
    _, body, signature = token.split(".")

    def signed(changes: dict[str, Any], *, key: str = key, algorithm: str = "HS256") -> str:
        return str(jwt.encode(claims | changes, key, algorithm=algorithm))

    def without(name: str) -> str:
        rest = {each: value for each, value in claims.items() if each != name}
        return str(jwt.encode(rest, key, algorithm="HS256"))

    return {
        "expired": signed({"exp": claims["iat"] - 1}),
        "of another key": signed({}, key="another-secret-key-of-enough-length"),
        "of another algorithm": signed({}, algorithm="HS512"),
        "for somebody else": signed({"aud": "somebody-else"}),
        "by somebody else": signed({"iss": "somebody-else"}),
        "unsigned": f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "unsigned, signature kept": f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{body}.{signature}",
        "RS for HS": f"{_encode({'alg': 'RS256', 'typ': 'JWT'})}.{body}.{signature}",
        "ES with our key as HMAC": f"{_encode({'alg': 'ES256', 'typ': 'JWT'})}.{body}.{signature}",
        "key in the header": f"{_encode({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': 'YQ'}})}.{body}.{signature}",
        "key of a path": f"{_encode({'alg': 'HS256', 'kid': '/dev/null'})}.{body}.{signature}",
        "a public key as secret": _hmac_with_public_key(claims),
        "of another body": f"{token.split('.')[0]}.{_encode(claims | {'sub': claims['sid']})}.{signature}",
        "3 KB of nested JSON": base64.urlsafe_b64encode(b"[" * 2250).rstrip(b"=").decode() + ".e30.c2ln",
        "nested within the limit": base64.urlsafe_b64encode(b"[" * 1400).rstrip(b"=").decode() + ".e30.c2ln",
        "expiring never": signed({"exp": None}),
        "expiring in words": signed({"exp": "tomorrow"}),
        "of many subjects": signed({"sub": [claims["sub"]]}),
        "of an unknown session": signed({"sid": claims["sub"]}),
        "of another user than the session": signed({"sub": claims["sid"]}),
        "longer than any of ours": signed({"more": "x" * 3000}),
        **{f"without {name}": without(name) for name in ("exp", "sub", "iat", "jti", "aud", "iss", "sid")},
        "nonsense": "nonsense",
        "three parts": "a.b.c",
        "long": "x" * 5000,
    }


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.get_unverified_claims(token)
    return claims


def _encode(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _hmac_with_public_key(claims: dict[str, Any]) -> str:
    head = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
    signature = hmac.new(_PUBLIC_KEY.encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
