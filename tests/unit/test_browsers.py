"""What a browser says of itself: origins, CSRF tokens, device labels, networks."""

import pytest

from shared.domain.browsers import (
    BrowserRequest,
    address_prefix,
    check_csrf_token,
    check_origin,
    device_label,
    is_device_secret,
)
from shared.errors import PolicyDenied

OURS = "https://eig.example"


@pytest.mark.parametrize(
    ("method", "origin", "fetch_site"),
    [
        ("GET", None, None),
        ("GET", None, "none"),
        ("GET", None, "same-origin"),
        ("GET", OURS, "same-origin"),
        ("POST", OURS, "same-origin"),
        ("POST", OURS, None),
        ("POST", None, "same-origin"),
    ],
)
def test_request_of_our_own_page_passes(
    method: str, origin: str | None, fetch_site: str | None
) -> None:
    check_origin(BrowserRequest(method, origin=origin, fetch_site=fetch_site), OURS)


@pytest.mark.parametrize(
    ("method", "origin", "fetch_site"),
    [
        ("GET", None, "cross-site"),
        ("GET", None, "same-site"),
        ("GET", None, ""),
        ("GET", None, "Same-Origin"),
        ("GET", "https://evil.example", None),
        ("POST", None, None),
        ("POST", None, "none"),
        ("DELETE", OURS, "none"),
        ("POST", "null", None),
        ("POST", "", "same-origin"),
        ("POST", "http://eig.example", None),
        ("POST", "https://eig.example.evil.example", None),
        ("POST", "https://eig.example:444", None),
        ("POST", "https://EIG.example", None),
        ("post", None, None),
        ("PATCH", None, "cross-site"),
    ],
)
def test_request_that_another_page_may_have_begun_is_refused(
    method: str, origin: str | None, fetch_site: str | None
) -> None:
    with pytest.raises(PolicyDenied) as refused:
        check_origin(BrowserRequest(method, origin=origin, fetch_site=fetch_site), OURS)
    assert refused.value.problem_code == "cross_site"


@pytest.mark.parametrize("shown", [None, "", "abc", "ABCD", "abcde", "\ud800"])
def test_unsafe_request_without_the_token_is_refused(shown: str | None) -> None:
    check_csrf_token(BrowserRequest("GET", csrf_token=shown), "abcd")
    check_csrf_token(BrowserRequest("POST", csrf_token="abcd"), "abcd")
    with pytest.raises(PolicyDenied):
        check_csrf_token(BrowserRequest("POST", csrf_token=shown), "abcd")


@pytest.mark.parametrize(
    ("agent", "label"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", "Safari on iOS"),
        ("<script>alert(1)</script>", "Browser on an unknown system"),
        ("", "Browser on an unknown system"),
    ],
)
def test_device_label_is_made_of_our_own_words(agent: str, label: str) -> None:
    assert device_label(agent) == label


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("203.0.113.77:5000", "203.0.113.0/24"),
        ("203.0.113.77:x", ""),
        ("<b>", ""),
        ("", ""),
    ],
)
def test_address_is_kept_as_a_network_only(address: str, prefix: str) -> None:
    assert address_prefix(address) == prefix


def test_device_keeps_hashes_only() -> None:
    device = BrowserRequest("GET", device_secret="s" * 43, agent="a" * 2_000).device
    assert "s" * 43 not in repr(device) and "a" * 100 not in repr(device)
    other = BrowserRequest("GET", device_secret="s" * 43, agent="a" * 513).device
    assert other.agent_sha256 == device.agent_sha256  # only the beginning counts
    assert is_device_secret("s" * 43) and not is_device_secret("s" * 42)
    assert not is_device_secret(None) and not is_device_secret("s" * 42 + "\n")
