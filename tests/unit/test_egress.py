"""Addresses that webhooks may go to, and the many that they may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.egress import checked_target, is_public
from shared.errors import Invalid

ALLOWED = frozenset({"127.0.0.1:8400", "hooks.internal:9443", "10.0.0.7:443"})

HOSTILE_URLS = (
    "http://hooks.example.com/",  # not encrypted
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "javascript:alert(1)",
    "//hooks.example.com/",
    "hooks.example.com",
    "",
    "https://",
    "https:///path",
    "https://localhost/",
    "https://localhost./",
    "https://intranet/",  # one label: completed with the search domain
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://2130706433/",  # the same as a number
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://hooks.example.0x1/",
    "https://127%2e0%2e0%2e1/",
    "https://\u2460\u2461\u2466.0.0.1/",  # digits of another script
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://0.0.0.0/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",  # carrier-grade NAT
    "https://169.254.169.254/metadata/instance",
    "https://168.63.129.16/",  # Azure's host agent: a public address that leads inside
    "https://192.0.0.192/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://203.0.113.9/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[::]/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",  # NAT64
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",  # 6to4
    "https://[2001:0:7f00:1::]/",  # Teredo
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2606:4700::1%25eth0]/",
    "https://[v1.example.com]/",
    "https://[::1",
    "https://hooks.example.com:80/",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:99999/",
    "https://hooks.example.com:443:80/",
    "https://user@hooks.example.com/",
    "https://user:pass@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://@hooks.example.com/",
    "https://hooks.example.com#@127.0.0.1/",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://127.0.0.1\\.hooks.example.com/",
    "https://hooks.example.com/\r\nHost: localhost",
    "https://hooks.example.com/ path",
    "https://hooks.exa mple.com/",
    "https://-hooks.example.com/",
    "https://hooks..example.com/",
    "https://hooks_.ex*mple.com/",
    "https://xn--\u00e9.example.com/",
    "http://127.0.0.1:8401/",  # on no list
    "http://hooks.internal:9443/",  # on the list, but plain http is for loopback only
    "https://" + "a" * 300 + ".example.com/",
    "https://hooks.example.com/" + "a" * 2_048,
)

PUBLIC_URLS = (
    "https://hooks.example.com/",
    "https://hooks.example.com:443/a/b?c=d&e=%20f",
    "https://HOOKS.Example.com:8443/",
    "https://xn--bcher-kva.example/",
    "https://93.184.216.34/",
    "https://[2606:4700:4700::1111]/",
    "https://_hooks.example.com/",
)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_hostile_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        checked_target(url, ALLOWED)
    assert refusal.value.problem_code == "address_not_allowed"
    assert [fault.field for fault in refusal.value.faults] == ["/url"]


@pytest.mark.parametrize("url", PUBLIC_URLS)
def test_public_address_is_taken(url: str) -> None:
    assert checked_target(url, frozenset()).trusted is False


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8400/webhooks/a", "https://hooks.internal:9443/", "https://10.0.0.7/"],
)
def test_address_on_the_list_is_trusted(url: str) -> None:
    assert checked_target(url, ALLOWED).trusted is True


@pytest.mark.parametrize("address", ["", "hooks.example.com", "1.2.3", "127.0.0.1 ", "::1%eth0"])
def test_what_is_no_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_public_ipv4_is_never_private(address: object) -> None:
    import ipaddress

    ip = ipaddress.IPv4Address(str(address))
    inside = ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast
    assert not (is_public(str(ip)) and (inside or ip.is_reserved or ip.is_unspecified))


@given(st.ip_addresses(v=4))
def test_ipv4_inside_of_ipv6_is_never_public(address: object) -> None:
    import ipaddress

    number = int(ipaddress.IPv4Address(str(address)))
    prefixes = ("::ffff:0:0", "::", "64:ff9b::", "2002::", "2001::")
    for prefix in prefixes:
        base = int(ipaddress.IPv6Address(prefix))
        shifted = number << 80 if prefix == "2002::" else number
        assert not is_public(str(ipaddress.IPv6Address(base | shifted)))
