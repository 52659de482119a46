"""Access to the studio: which Host, which Origin, which token a request must bring.

A page of another site can have the browser send requests here: to a name of its own that it lets
resolve to 127.0.0.1 (DNS rebinding), or from its own origin (CSRF). The first is told by the Host
header, which is then that site's name; the second by Origin and Sec-Fetch-Site, which no page can
set. Beyond loopback anybody may call, so that a token is needed, too.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?)(:\d{1,5})?")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OWN_SITES = frozenset({"same-origin", "none"})


@dataclass(frozen=True)
class Refusal:
    """Why a request gets no page."""

    status: int
    what: str


@dataclass(frozen=True, kw_only=True)
class Access:
    """What the headers of a request must be.

    Args:
        host: the name or address that was asked for.
        bound: the address that is listened on.
        port: the port.
        token: what a request must bring; None on loopback.
    """

    host: str
    bound: str
    port: int
    token: str | None = field(repr=False)

    @classmethod
    def to(cls, host: str, bound: str, port: int) -> Access:
        """The access to an address: by a fresh token of 256 bits where it is not loopback."""
        token = None if is_loopback(bound) else secrets.token_urlsafe(32)
        return cls(host=host, bound=bound, port=port, token=token)

    @property
    def url(self) -> str:
        """What is opened in a browser."""
        shown = self.bound if self.host in ("", "localhost") else self.host
        if ":" in shown:
            shown = f"[{shown}]"
        return f"http://{shown}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    @property
    def cookie(self) -> str:
        """The cookie that keeps the token: browsers do not tell ports apart."""
        return f"abi-studio-{self.port}"

    def refuse(self, method: str, headers: Mapping[str, list[str]]) -> Refusal | None:
        """What speaks against a request, by its Host and where it comes from; None for nothing.

        Args:
            method: of the request.
            headers: the values of each header, by its name in small letters.
        """
        hosts = headers.get("host", [])
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not _HOST.fullmatch(host):
            return Refusal(400, "one Host header with a name and a port is needed")
        if not self._answers_to(re.sub(r":\d+$", "", host)):
            return Refusal(421, "the studio does not answer to that name")
        origins = headers.get("origin", [])
        if any(origin.lower() != f"http://{host}" for origin in origins):
            return Refusal(403, "a request of another site")
        sites = headers.get("sec-fetch-site", [])
        if method in ("GET", "HEAD"):
            return None
        if len(origins) != 1 or any(site.lower() not in _OWN_SITES for site in sites):
            return Refusal(403, "only the studio's own pages may ask for that")
        return None

    def admits(self, given: str | None) -> bool:
        """Whether a token is the right one; any will do where none is needed."""
        if self.token is None:
            return True
        return given is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def _answers_to(self, name: str) -> bool:
        if is_loopback(self.bound):
            return name in _LOOPBACK_NAMES or name == _as_host(self.bound)
        own = {self.host.lower(), _as_host(self.host), _as_host(self.bound)}
        if name in own or name in _LOOPBACK_NAMES or name == socket.gethostname().lower():
            return True
        # Rebinding takes a name that its owner can point elsewhere: an address cannot be.
        return _address(self.bound) in ("0.0.0.0", "::") and _address(name) is not None


def is_loopback(host: str) -> bool:
    """Whether an address reaches nobody but this machine."""
    found = _address(host)
    return found is not None and ipaddress.ip_address(found).is_loopback


def _address(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        return None


def _as_host(address: str) -> str:
    return f"[{address}]" if ":" in address else address.lower()
