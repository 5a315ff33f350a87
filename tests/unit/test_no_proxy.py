"""``NO_PROXY``: which hosts it exempts, by the rules of Go's httpproxy."""

from __future__ import annotations

import pytest

from polysocket._no_proxy import is_exempt
from polysocket.url import WebSocketURL

# Entries, and URLs that they exempt or don't. The first ones are those of Go's own tests.
GO = "example.com, .sub.example.org,1.2.3.4, 8.8.8.8/32, 2001:db8:1::/48, foo.de:81,[2001:db8:7::1]:82, 10.1.2.3:83"
CASES: list[tuple[str, str, bool]] = [
    # Hosts with or without a leading "." or "*."
    ("example.com", "ws://example.com/", True),
    ("example.com", "ws://a.b.example.com/", True),
    ("example.com", "ws://notexample.com/", False),
    ("example.com", "ws://example.com.evil.example/", False),
    ("example.com", "ws://example.org/", False),
    (".example.com", "ws://a.example.com/", True),
    (".example.com", "ws://example.com/", False),
    ("*.example.com", "ws://a.b.example.com/", True),
    ("*.example.com", "ws://example.com/", False),
    ("*example.com", "ws://example.com/", False),
    ("ex*.com", "ws://example.com/", False),
    ("EXAMPLE.com", "ws://Example.COM/", True),
    ("bücher.example", "ws://bücher.example/", True),
    ("xn--bcher-kva.example", "ws://bücher.example/", True),
    ("ΟΔΟΣ-24.example", "ws://οδοσ-24.example/", True),
    ("ΟΔΟΣ-24.example", "ws://οδος-24.example/", False),
    # Trailing dots
    ("example.com.", "ws://example.com/", True),
    ("example.com", "ws://example.com./", True),
    (".example.com.:80", "ws://a.example.com./", True),
    ("bücher。example。", "ws://bücher.example/", True),
    ("*.bücher。example", "ws://a.bücher.example./", True),
    ("。bücher.example", "ws://bücher.example/", False),
    # Ports
    ("example.com:80", "ws://example.com/", True),
    ("example.com:443", "wss://a.example.com/", True),
    ("example.com:8000", "ws://example.com:9000/", False),
    ("*.example.com:8000", "ws://a.example.com:8000/", True),
    ("example.com:", "ws://example.com:9000/", True),
    (":80", "ws://example.com/", False),
    ("example.com:" + "8" * 5000, "ws://example.com/", False),
    # Addresses
    ("192.0.2.1", "ws://192.0.2.1:9000/", True),
    ("192.0.2.1:80", "ws://192.0.2.1/", True),
    ("192.0.2.1:80", "ws://192.0.2.1:81/", False),
    ("192.0.2.1", "ws://192.0.2.10/", False),
    ("192.0.2.1", "ws://[::ffff:192.0.2.1]/", True),
    ("2.1", "ws://192.0.2.1/", True),  # The end of an address is read as a name's, by Go too.
    ("2001:db8::1", "ws://[2001:db8:0::1]/", True),
    ("[2001:db8::1]", "ws://[2001:db8::1]/", True),
    ("[2001:db8::1]:81", "ws://[2001:db8::1]:81/", True),
    ("[2001:db8::1]:81", "ws://[2001:db8::1]/", False),
    ("fe80::1", "ws://[fe80::1%25eth0]/", True),
    ("fe80::1%eth0", "ws://[fe80::1%25eth0]/", True),
    ("192.0.2.1", "ws://192.0.513/", True),
    ("192。0.2.1", "ws://192.0.2.1/", True),
    ("１０.1", "ws://10.0.0.1/", True),  # in wide digits
    # Networks
    ("10.0.0.0/8", "ws://10.200.1.2/", True),
    ("10.1.2.3/8", "ws://10.200.1.2/", True),
    ("10.0.0.0/8", "ws://11.0.0.1/", False),
    ("10.0.0.0/8", "ws://ten.example/", False),
    ("10.0.0.0/8", "ws://[::ffff:10.1.2.3]/", True),
    ("::ffff:10.0.0.0/104", "ws://[::ffff:10.1.2.3]/", True),
    ("::ffff:10.0.0.0/104", "ws://10.1.2.3/", True),
    ("::ffff:10.0.0.0/104", "ws://11.1.2.3/", False),
    ("::ffff:0:0/96", "ws://[::ffff:10.1.2.3]/", True),
    ("::ffff:0:0/95", "ws://[::ffff:10.1.2.3]/", False),
    ("::/0", "ws://[::ffff:10.1.2.3]/", False),  # by Go, too
    ("::/0", "ws://[2001:db8::1]/", True),
    ("fd00::/8", "ws://[fd12::1]/", True),
    ("fd00::/8", "ws://[fe80::1]/", False),
    ("fd00::/8", "ws://10.0.0.1/", False),
    ("10.0.0.0/64", "ws://10.0.0.1/", False),
    # Lists
    ("*", "wss://example.com/", True),
    ("localhost,*", "wss://example.com/", True),
    (" a.example ,\tb.example", "ws://b.example/", True),
    ("a.example b.example", "ws://b.example/", True),
    ("", "ws://example.com/", False),
    (",, ,", "ws://example.com/", False),
    (".", "ws://example.com/", False),
    ("*.", "ws://example.com/", False),
    ("[", "ws://example.com/", False),
    ("ü\u0301\ufffd", "ws://example.com/", False),
    # Always
    ("", "ws://localhost/", True),
    ("", "ws://localhost.:9000/", True),
    ("", "ws://a.localhost/", False),
    ("", "ws://127.8.8.8/", True),
    ("", "ws://127.1/", True),
    ("", "ws://0x7f000001/", True),
    ("", "ws://[::1]/", True),
    ("", "ws://[::ffff:127.0.0.1]/", True),
    # One list with all kinds
    (GO, "ws://1.2.3.4/", True),
    (GO, "ws://1.2.3.5/", False),
    ("10.1", "ws://10.1/", True),
    ("10.1", "ws://10.0.0.1/", True),
    ("0xa.1", "ws://10.1/", True),
    (GO, "ws://8.8.8.8/", True),
    (GO, "ws://[2001:db8:1:2::3]/", True),
    (GO, "ws://[2001:db8:2::3]/", False),
    (GO, "ws://www.foo.de:81/", True),
    (GO, "ws://foo.de/", False),
    (GO, "ws://[2001:db8:7::1]:82/", True),
    (GO, "ws://10.1.2.3:83/", True),
    (GO, "ws://10.1.2.3/", False),
    (GO, "ws://sub.example.org/", False),
    (GO, "ws://a.sub.example.org/", True),
]


@pytest.mark.parametrize(("no_proxy", "url", "expected"), CASES)
def test_no_proxy_exempts_hosts_by_the_rules_of_go(no_proxy: str, url: str, expected: bool) -> None:
    parsed = WebSocketURL.parse(url)
    assert is_exempt(parsed.host, parsed.port, no_proxy) is expected
