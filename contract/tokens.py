"""Signed, scoped, expiring proofs of who is calling.

`pesc1.<claims>.<signature>`: claims are base64 JSON, the signature is HMAC-SHA256 with the
pool's secret. The schedd alone holds the secret, so it alone makes and checks tokens.
"""

import base64
import binascii
import hashlib
import hmac

import msgspec

from contract.endpoints import Endpoint, Role
from contract.problems import Problem

PREFIX = "pesc1"


class Claims(msgspec.Struct, frozen=True):
    """Who, in which pool, with which roles, until when (seconds since the epoch)."""

    user: str
    pool: str
    roles: list[Role]
    expires_at: float

    def may_call(self, endpoint: Endpoint) -> bool:
        return not endpoint.roles or Role.ADMIN in self.roles or not endpoint.roles.isdisjoint(self.roles)

    @property
    def may_touch_all_jobs(self) -> bool:
        return Role.ADMIN in self.roles or Role.OPERATOR in self.roles


def sign(claims: Claims, secret: bytes) -> str:
    """Return the token that proves `claims`."""
    body = _encode(msgspec.json.encode(claims))
    return f"{PREFIX}.{body}.{_encode(_signature(body, secret))}"


def check(token: str, secret: bytes, pool: str, now: float) -> Claims:
    """Return what `token` proves, or raise the Problem that says why it proves nothing."""
    cure = "Ask the pool's administrator for a token (pesc_token create)."
    try:
        prefix, body, signature = token.split(".")
        # Compared as text: the same bytes have several spellings in base64.
        expected = _encode(_signature(body, secret))
        genuine = prefix == PREFIX and hmac.compare_digest(signature.encode(), expected.encode())
        claims = msgspec.json.decode(_decode(body), type=Claims) if genuine else None
    except (ValueError, msgspec.MsgspecError, binascii.Error):
        claims = None
    if claims is None:
        raise Problem("bad_token", "This token was not signed by this pool.", cure)
    if claims.pool != pool:
        raise Problem("bad_token", f"This token is for pool {claims.pool!r}, this is {pool!r}.", cure)
    if claims.expires_at <= now:
        minutes = max(1, round((now - claims.expires_at) / 60))
        raise Problem("expired_token", f"The token of {claims.user} expired {minutes} min ago.", cure)
    return claims


def _signature(body: str, secret: bytes) -> bytes:
    return hmac.new(secret, body.encode(), hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
