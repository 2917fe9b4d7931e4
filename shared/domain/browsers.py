"""What a browser says of itself and of where a request began; all of it can be made up by others.

A page of another site can make a browser send a request, but it can set neither `Origin` nor
`Sec-Fetch-Site`, and it cannot read the token that unsafe requests must carry.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final

from shared.domain.sessions import Device, sha256_hex
from shared.errors import PolicyDenied

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
AGENT_CHARS_MAX: Final = 512  # of the header User-Agent; the rest tells devices no better apart
SAME_ORIGIN: Final = "same-origin"  # one of our pages
TYPED: Final = "none"  # the person's own address bar, which sends nothing but GET
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_IPV4_PREFIX, _IPV6_PREFIX = 24, 48
_BROWSERS: Final = (  # the first that fits: most of them also call themselves those below
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True)
class BrowserRequest:
    """The headers of a request that tell browser and origin; None: the header was not sent."""

    method: str
    device_secret: str | None = field(default=None, repr=False)
    agent: str = ""
    address: str = ""
    origin: str | None = None
    fetch_site: str | None = None
    csrf_token: str | None = field(default=None, repr=False)

    @property
    def device(self) -> Device:
        agent = self.agent[:AGENT_CHARS_MAX]
        return Device(
            secret_sha256=sha256_hex((self.device_secret or "").encode()),
            agent_sha256=hashlib.sha256(agent.encode("utf-8", "replace")).hexdigest(),
            label=device_label(agent),
            address_prefix=address_prefix(self.address),
        )


def is_device_secret(text: str | None) -> bool:
    return text is not None and _SECRET.fullmatch(text) is not None


def check_origin(request: BrowserRequest, own_origin: str) -> None:
    """Raise PolicyDenied for a request with our cookie that no page of ours began."""
    is_safe = request.method in SAFE_METHODS
    begun = {None, SAME_ORIGIN, TYPED} if is_safe else {None, SAME_ORIGIN}
    if request.fetch_site not in begun:
        raise _not_ours()
    if request.origin not in (None, own_origin):
        raise _not_ours()
    if not is_safe and request.fetch_site is None and request.origin is None:
        raise _not_ours()  # neither header says where it began


def check_csrf_token(request: BrowserRequest, expected: str) -> None:
    """Raise PolicyDenied for an unsafe request that does not carry the session's token."""
    if request.method in SAFE_METHODS:
        return
    shown = (request.csrf_token or "").encode("utf-8", "replace")
    if not hmac.compare_digest(shown, expected.encode()):
        raise PolicyDenied(
            "Send the header X-CSRF-Token of GET /auth/session.", code="csrf_token_needed"
        )


def device_label(agent: str) -> str:
    """A name that a person recognises: "Firefox on Linux"; only words of ours."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "Browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "an unknown system")
    return f"{browser} on {system}"


def address_prefix(address: str) -> str:
    """The network of an address, so that no single person is named; empty if it is none."""
    host, _, port = address.partition(":")
    try:
        parsed = ip_address(host if port.isdigit() else address)  # Azure sends the port along
        prefix = _IPV4_PREFIX if parsed.version == 4 else _IPV6_PREFIX
        return str(ip_network((parsed, prefix), strict=False))
    except ValueError:
        return ""


def _not_ours() -> PolicyDenied:
    return PolicyDenied("This request began on another site.", code="cross_site")
