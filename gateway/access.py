"""Who may come in: API keys, short-lived tickets for the socket, and the sites whose pages may ask."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
from typing import Final
from urllib.parse import urlsplit

from loopai.clock import Clock, iso
from loopai.errors import ConfigurationError
from loopai.settings import Gateway

TICKET_SECONDS: Final = 300


class Access:
    """The rules of one gateway.

    Keys are compared by their hashes and every key is compared each time, so the answer takes as long for a near miss
    as for a wild guess. Tickets are signed with the keys themselves: any replica with the same keys honours them, and
    a withdrawn key takes its tickets with it.

    Raises:
        ConfigurationError: the gateway would listen beyond loopback without a key.
    """

    def __init__(self, settings: Gateway, clock: Clock) -> None:
        keys = [key.get_secret_value() for key in settings.api_keys]
        if any(len(key) < 16 for key in keys):
            raise ConfigurationError(
                "gateway.api_keys: a key is shorter than 16 characters.",
                next_step="Make one with: openssl rand -hex 24",
            )
        self.loopback = is_loopback(settings.host)
        if not keys and not self.loopback:
            raise ConfigurationError(
                f"gateway.api_keys: {settings.host} is reachable from other machines, and no key is set.",
                next_step="Set LOOPAI_GATEWAY__API_KEYS to a JSON list of keys, or listen on 127.0.0.1.",
            )
        self.required = bool(keys)
        self._clock = clock
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._secret = (
            hashlib.sha256(b"ticket\0" + b"".join(self._digests)).digest() if keys else secrets.token_bytes(32)
        )
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.allowed_origins)
        self._hosts = {"localhost", "127.0.0.1", "::1", settings.host} | {
            urlsplit(origin).hostname or "" for origin in self._origins
        }

    def key_is_valid(self, presented: str | None) -> bool:
        """Whether the key is one of ours. Without configured keys none is needed."""
        if not self.required:
            return True
        digest = hashlib.sha256((presented or "").encode("utf-8", "surrogateescape")).digest()
        valid = False
        for known in self._digests:
            valid |= hmac.compare_digest(digest, known)
        return valid

    def make_ticket(self) -> tuple[str, str]:
        """A ticket and when it expires (RFC 3339)."""
        expires = int(self._clock.now()) + TICKET_SECONDS
        body = f"{expires}.{secrets.token_urlsafe(12)}"
        return f"{body}.{self._sign(body)}", iso(expires)

    def ticket_is_valid(self, ticket: str) -> bool:
        """Whether the ticket is ours and has not expired."""
        body, _, signature = ticket.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "surrogateescape"), self._sign(body).encode()):
            return False
        return int(body.partition(".")[0]) >= self._clock.now()

    def origin_is_allowed(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of `origin` may ask `host`. Only browsers send an origin."""
        if origin is None:
            return True
        if origin.rstrip("/").lower() in self._origins:
            return True
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and host is not None and parts.netloc.lower() == host.lower()

    def host_is_allowed(self, host: str | None) -> bool:
        """On loopback without keys the name that was asked for must be ours: a foreign name that resolves to
        127.0.0.1 is another site's page reaching in (DNS rebinding). With keys the key decides."""
        if self.required or host is None:
            return True
        return (urlsplit(f"//{host}").hostname or "") in self._hosts

    def _sign(self, body: str) -> str:
        digest = hmac.new(self._secret, body.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def presented_key(headers: dict[bytes, bytes]) -> str | None:
    """The key in `Authorization: Bearer` or `X-API-Key`."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and token:
        return token.strip().decode("latin-1")
    key = headers.get(b"x-api-key")
    return None if key is None else key.decode("latin-1")
