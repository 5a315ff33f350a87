"""The grammar of header fields: extensions, tokens, and singleton fields."""

from __future__ import annotations

import pytest

from polysocket._core.header_fields import (
    Extension,
    Fields,
    MalformedHeader,
    by_name,
    encode_fields,
    parse_extensions,
    parse_tokens,
    single,
)
from polysocket.headers import Headers
from tests.handshakes import (
    EXTENSIONS,
)


def field(*values: str) -> Fields:
    return by_name(Headers([(EXTENSIONS, value) for value in values]))


@pytest.mark.parametrize(
    ("values", "extensions"),
    [
        ([], []),
        (["a"], [Extension("a")]),
        (["a, b", "c"], [Extension("a"), Extension("b"), Extension("c")]),
        (["", "a"], [Extension("a")]),
        ([", ,\ta,, b ,"], [Extension("a"), Extension("b")]),
        (["a;b;c=d"], [Extension("a", (("b", None), ("c", "d")))]),
        (["a ;\tb ; c = d ,e"], [Extension("a", (("b", None), ("c", "d"))), Extension("e")]),
        (['a; b="c"'], [Extension("a", (("b", "c"),))]),
        (['a; b="\\c\\d"; e'], [Extension("a", (("b", "cd"), ("e", None)))]),
        (["a; b=1; b=2"], [Extension("a", (("b", "1"), ("b", "2")))]),
        (["!#$%&'*+-.^_`|~09azAZ"], [Extension("!#$%&'*+-.^_`|~09azAZ")]),
    ],
)
def test_extensions_are_parsed_as_the_grammar_says(values: list[str], extensions: list[Extension]) -> None:
    """RFC 6455 §9.1."""
    assert parse_extensions(field(*values)) == extensions


@pytest.mark.parametrize(
    "value",
    [
        *[
            "",
            ",",
            ";a",
            "a;",
            "a;;b",
            "a=b",
            "a; =b",
            "a; b=",
            "a; b=c=d",
            "a b",
            "a; b c",
            "a/b",
            "é",
            "a; b=é",
            "\0",
        ],
        *['a; b="', 'a; b="c', 'a; b="c\\"', 'a; b=""', 'a; b="c,d"', 'a; b="c;d"', 'a; b="c d"', 'a; b="é"', '"a"'],
        *['a; b="c"d', 'a; b="\\""', 'a; "b"', "a\x0b", "a,\n b"],
    ],
)
def test_extensions_that_violate_the_grammar_are_refused(value: str) -> None:
    with pytest.raises(MalformedHeader, match="Sec-WebSocket-Extensions header"):
        parse_extensions(field(value))


def test_a_comma_in_quotes_does_not_separate_extensions() -> None:
    """Otherwise 'x' would count as an extension."""
    with pytest.raises(MalformedHeader, match="quoted value that is not a token"):
        parse_extensions(field('a; b=",x,"'))


def test_the_str_of_an_extension_is_its_form_in_a_header() -> None:
    assert str(Extension("a", (("b", None), ("c", "d")))) == "a; b; c=d"


def test_tokens_are_parsed_as_the_grammar_says() -> None:
    """RFC 9110 §5.6.1."""
    headers = by_name(Headers([("X", "a, b ,,"), ("Y", "c"), ("x", "\t,D")]))
    assert parse_tokens(headers, "X") == ["a", "b", "D"]
    assert parse_tokens(headers, "Z") == []
    for value in ("a b", "a;b", "a,b/c", "é", '"a"', "", " , "):
        with pytest.raises(MalformedHeader, match=r"X header is (malformed|empty)"):
            parse_tokens({"x": [value]}, "X")


def test_a_singleton_field_may_not_be_repeated() -> None:
    headers = by_name(Headers([("X", "a, b"), ("Y", "c"), ("y", "c")]))
    assert single(headers, "X") == "a, b"
    assert single(headers, "Z") is None
    with pytest.raises(MalformedHeader, match=r"^Y header comes 2 times, but may come only once$"):
        single(headers, "Y")


def test_valid_fields_are_encoded_and_others_refused() -> None:
    assert encode_fields([("A-b", "\t\xffx y ")]) == [(b"A-b", b"\xffx y")]
    for name, value in (("", "x"), ("a:", "x"), ("ä", "x"), ("a", "\0"), ("a", "\r"), ("a", "\x7f"), ("a", "Ā")):
        with pytest.raises(ValueError, match=r"is not a header name|has a character that HTTP does not allow"):
            encode_fields([(name, value)])
