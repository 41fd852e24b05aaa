"""Which addresses do we understand, and what do we say to the others?"""

from __future__ import annotations

import pytest

from tocsin.cli.embedded.address import Address, address
from tocsin.domain.errors import BadSetting


@pytest.mark.parametrize(
    ("text", "read", "url"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        (":9000", Address("127.0.0.1", 9000), "http://127.0.0.1:9000"),
        ("0.0.0.0:80", Address("0.0.0.0", 80), "http://127.0.0.1:80"),
        ("[::1]:8080", Address("::1", 8080), "http://[::1]:8080"),
        ("tocsin.internal:8080", Address("tocsin.internal", 8080), "http://tocsin.internal:8080"),
    ],
)
def test_an_address_is_host_and_port(text: str, read: Address, url: str) -> None:
    assert address(text) == read
    assert read.url == url


@pytest.mark.parametrize("text", ["8080", "localhost", "localhost:", "::1:8080", "localhost:0", "localhost:65536", ""])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadSetting, match=r"write host:port, such as 127\.0\.0\.1:8080"):
        address(text)
