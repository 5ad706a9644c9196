"""Invalid access tokens, derived from a valid one."""

import base64
import hashlib
import hmac
import json
from typing import Any

from jose import jwt

from crm_api.settings import Settings

# A verifier that lets the token choose its algorithm would use this public key as an HMAC secret.
_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----"""


def forged_tokens(settings: Settings, token: str) -> dict[str, str]:
    """Return invalid tokens by what is wrong with them."""
    key = settings.jwt_secret_key.get_secret_value()
    claims = _claims(token)
    _, body, signature = token.split(".")

    def signed(changes: dict[str, Any], *, key: str = key, algorithm: str = "HS256") -> str:
        return str(jwt.encode(claims | changes, key, algorithm=algorithm))

    def without(name: str) -> str:
        remaining = {claim: value for claim, value in claims.items() if claim != name}
        return str(jwt.encode(remaining, key, algorithm="HS256"))

    return {
        "expired": signed({"exp": claims["iat"] - 1}),
        "signed with another key": signed({}, key="another-secret-key-of-enough-length"),
        "signed with another algorithm": signed({}, algorithm="HS512"),
        "another audience": signed({"aud": "another-service"}),
        "another issuer": signed({"iss": "another-service"}),
        "unsigned": f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "unsigned with a signature": f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{body}.{signature}",
        "RS256 in the header": f"{_encode({'alg': 'RS256', 'typ': 'JWT'})}.{body}.{signature}",
        "ES256 in the header": f"{_encode({'alg': 'ES256', 'typ': 'JWT'})}.{body}.{signature}",
        "key in the header": f"{_encode({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': 'YQ'}})}.{body}.{signature}",
        "path as key ID": f"{_encode({'alg': 'HS256', 'kid': '/dev/null'})}.{body}.{signature}",
        "public key as HMAC secret": _hmac_with_public_key(claims),
        "body replaced": f"{token.split('.')[0]}.{_encode(claims | {'sub': claims['sid']})}.{signature}",
        "3 KB of nested JSON": base64.urlsafe_b64encode(b"[" * 2250).rstrip(b"=").decode() + ".e30.c2ln",
        "nested JSON within the size limit": base64.urlsafe_b64encode(b"[" * 1400).rstrip(b"=").decode()
        + ".e30.c2ln",
        "expiry is null": signed({"exp": None}),
        "expiry is a word": signed({"exp": "tomorrow"}),
        "subject is a list": signed({"sub": [claims["sub"]]}),
        "unknown session": signed({"sid": claims["sub"]}),
        "user of another session": signed({"sub": claims["sid"]}),
        "too long": signed({"more": "x" * 3000}),
        **{f"without {name}": without(name) for name in ("exp", "sub", "iat", "jti", "aud", "iss", "sid")},
        "not a JWT": "nonsense",
        "three invalid parts": "a.b.c",
        "5 KB of text": "x" * 5000,
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
