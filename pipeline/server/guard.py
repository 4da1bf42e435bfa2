"""Who may ask: the ``Host`` and ``Origin`` of a request, and its token."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@/]+)(?::[0-9]*)?")

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused.

    Attributes
    ----------
    status
        HTTP status code.
    message
        What was wrong and what to do.
    """

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses requests that come from where they should not.

    A page of somebody else's, open in the same browser, must be able neither to read answers nor to have
    anything done; so the name in ``Host`` must be one of ours (a foreign name that leads to this address is
    how such pages get around the rule of the same origin), and an ``Origin`` must be that same host.

    Attributes
    ----------
    hosts
        Names that ``Host`` may have, without port, lower case; empty: any.
    origins
        Further origins, such as ``https://example.org``, whose pages may ask.
    token
        What ``Authorization: Bearer`` must hold; None: no token is asked for.
    cookie
        Name of a cookie that may hold it as well, for pages; None: none.
    """

    hosts: Collection[str] = LOOPBACK_NAMES
    origins: Collection[str] = ()
    token: str | None = None
    cookie: str | None = None

    def refusal(self, headers: Mapping[str, str], *, needs_token: bool = True) -> Refusal | None:
        """Judge a request by its headers (names in lower case); None: it may pass."""
        host = headers.get("host", "").lower()
        if self.hosts and host_name(host) not in self.hosts:
            return Refusal(403, f"Host {host!r} is not a name of this server; see server.allowed_hosts")
        origin = headers.get("origin")
        if origin is not None and not self._is_own(origin, host) and origin not in self.origins:
            return Refusal(403, f"pages of {origin!r} may not ask this server; see server.allowed_origins")
        if needs_token and self.token is not None and not self._knows_token(headers):
            return Refusal(401, "a token is needed: send the header 'Authorization: Bearer TOKEN'")
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        scheme, _, place = origin.lower().partition("://")
        return scheme in ("http", "https") and place == host

    def _knows_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same_secret(given.strip(), self.token or ""):
            return True
        pairs = (pair.partition("=") for pair in headers.get("cookie", "").split(";"))
        values = [value.strip() for name, _, value in pairs if name.strip() == self.cookie]
        return any(same_secret(value, self.token or "") for value in values)


def same_secret(given: str, secret: str) -> bool:
    """Compare without telling by the time it takes how much was right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without its port; IPv6 addresses stay in brackets; else empty."""
    found = _HOST.fullmatch(host)
    return found.group(1) if found else ""


def host_in_url(address: str) -> str:
    """An address as it stands in a URL and in ``Host``: IPv6 in brackets."""
    bare = address.strip("[]").lower()
    return f"[{bare}]" if ":" in bare else bare


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach a server on this address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False
