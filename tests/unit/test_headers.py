"""Headers: a mapping by name in any case that keeps the fields in order (RFC 9110 §5)."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from polysocket.headers import Headers

SOME = Headers([("Set-Cookie", "a=b"), ("X-A", "1"), ("set-cookie", "c=d"), ("X-B", "2")])


def test_headers_are_a_mapping_by_name_in_any_case() -> None:
    assert SOME["x-a"] == SOME["X-A"] == "1"
    assert "x-b" in SOME
    assert "X-C" not in SOME
    assert SOME.get("X-C") is None
    assert SOME.get("X-C", "?") == "?"
    with pytest.raises(KeyError, match="X-C"):
        SOME["X-C"]


def test_repeated_fields_are_joined_or_returned_one_by_one() -> None:
    """RFC 9110 §5.3."""
    assert SOME["Set-Cookie"] == "a=b, c=d"
    assert SOME.get_all("SET-COOKIE") == ["a=b", "c=d"]
    assert SOME.get_all("X-C") == []


def test_a_mapping_of_headers_has_each_name_once_in_order() -> None:
    assert list(SOME) == ["set-cookie", "x-a", "x-b"]
    assert len(SOME) == 3
    assert dict(SOME) == {"set-cookie": "a=b, c=d", "x-a": "1", "x-b": "2"}
    assert list(SOME.values()) == ["a=b, c=d", "1", "2"]
    assert not Headers()


def test_headers_are_immutable_and_can_be_pickled() -> None:
    headers = Headers([("X", "a"), ("x", "b")])
    with pytest.raises(AttributeError, match="Headers are immutable"):
        headers.pairs = ()
    with pytest.raises(AttributeError, match="Headers are immutable"):
        del headers.pairs
    assert pickle.loads(pickle.dumps(headers)).pairs == copy.copy(headers).pairs == headers.pairs


def test_pairs_are_the_fields_as_they_were_given() -> None:
    assert SOME.pairs == (("Set-Cookie", "a=b"), ("X-A", "1"), ("set-cookie", "c=d"), ("X-B", "2"))


def test_headers_are_made_from_pairs_a_mapping_or_headers() -> None:
    assert Headers({"X-A": "1"}) == Headers([("X-A", "1")]) == Headers(iter([("X-A", "1")]))
    assert Headers(SOME).pairs == SOME.pairs


def test_without_removes_fields_by_name() -> None:
    assert SOME.without("SET-COOKIE", "x-b", "X-C").pairs == (("X-A", "1"),)
    assert len(SOME.pairs) == 4


def test_headers_are_equal_by_value_order_and_name_in_any_case() -> None:
    same = Headers([(name.upper(), value) for name, value in SOME.pairs])
    assert same == SOME
    assert hash(same) == hash(SOME)
    assert Headers(reversed(SOME.pairs)) != SOME
    assert Headers({"X-A": "a"}) != Headers({"X-A": "A"})
    assert Headers({"x-a": "1"}) != {"x-a": "1"}


def test_the_repr_of_headers_hides_secrets_and_shows_the_rest() -> None:
    headers = Headers([("X-A", "1"), ("AUTHORIZATION", "x"), ("cookie", "x"), ("Set-Cookie", "x"), ("x-b", "2")])
    assert repr(headers) == (
        "Headers([('X-A', '1'), ('AUTHORIZATION', '…'), ('cookie', '…'), ('Set-Cookie', '…'), ('x-b', '2')])"
    )


@pytest.mark.parametrize("fields", [["Server"], [1], [("a", "b", "c")], "Server: x"])
def test_fields_without_a_name_and_a_value_each_are_refused(fields: Any) -> None:
    with pytest.raises(TypeError, match=r"headers have names with values, such as .+; not (list|str)$"):
        Headers(fields)
