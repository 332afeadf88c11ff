"""Commands written as one text."""

import pytest

from stack.compose.command_line import has_operators, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sleep 10", ("sleep", "10")),
        ("  a\t b\n", ("a", "b")),
        ("sh -c 'a && b \"c\"'", ("sh", "-c", 'a && b "c"')),
        ('echo "a \\"b\\" c" \'\'', ("echo", 'a "b" c', "")),
        ("a\\ b c#d # e", ("a b", "c#d", "#", "e")),
        ("", ()),
    ],
)
def test_splitting(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a\\"])
def test_an_open_quote_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"never closed|backslash"):
        split_words(text)


def test_operators_are_noticed() -> None:
    assert has_operators(split_words("a && b"))
    assert not has_operators(split_words("sh -c 'a && b'"))
