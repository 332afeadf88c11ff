"""YAML is read with go-yaml's scalar rules, and every problem names its place."""

import math

import pytest

from stack.compose.tree import Mapping, go_text, to_plain
from stack.compose.yaml_reader import plain_scalar, read_yaml
from stack.errors import ComposeError


def read(text: str) -> object:
    (document,) = read_yaml(text, "f.yml")
    return to_plain(document)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("true", True), ("TRUE", True), ("False", False), ("tRue", "tRue"),
        ("~", None), ("null", None), ("NULL", None), ("nUll", "nUll"),
        ("12:30", "12:30"), ("190:20:30", "190:20:30"), ("22:22", "22:22"),
        ("1e3", 1000.0), ("08", 8.0), ("+.5", 0.5), (".5", 0.5), ("1.", 1.0), ("1.10", 1.1),
        ("0o17", 15), ("017", 15), ("0x1F", 31), ("-0x10", -16), ("0b11", 3), ("1_000", 1000), ("+1", 1),
        ("-.inf", -math.inf), (".INF", math.inf),
        ("2001-01-01", "2001-01-01"), ("=", "="), ("-", "-"), (".", "."), ("1.2.3", "1.2.3"),
        ("18446744073709551615", 2**64 - 1), ("18446744073709551616", 1.8446744073709552e19),
    ],
)  # fmt: skip
def test_a_plain_scalar_is_typed_as_go_yaml_does(text: str, value: object) -> None:
    found = plain_scalar(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (1.1, "1.1"), (1000.0, "1000"), (1e20, "1e+20"), (1e6, "1e+06"), (-123456789.5, "-1.234567895e+08"), (1e5, "100000"),
        (1e21, "1e+21"), (1.5e22, "1.5e+22"), (1e-5, "1e-05"), (0.0001, "0.0001"),
        (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (True, "true"), (15, "15"), (None, ""),
    ],
)  # fmt: skip
def test_numbers_become_text_as_go_prints_them(value: float, text: str) -> None:
    assert go_text(value) == text


def test_quotes_and_tags_make_text() -> None:
    assert read("a: '5'\nb: !!str 5\nc: !unknown x\nd: |\n  7\n") == {
        "a": "5", "b": "5", "c": "x", "d": "7\n",
    }  # fmt: skip


def test_merge_keys_let_the_explicit_key_win_and_then_the_earlier_map() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 3}\n"
    assert read(text)["c"] == {"y": 3, "x": 1, "z": 2}  # type: ignore[index]


def test_nodes_remember_their_lines_through_aliases() -> None:
    (document,) = read_yaml("a: &a\n  k: 1\nb: *a\n", "f.yml")
    assert isinstance(document, Mapping)
    alias = document.get("b")
    assert isinstance(alias, Mapping)
    assert str(alias.entries["k"].key_mark) == "f.yml:2"


def test_several_documents_are_all_read_and_empty_ones_left_out() -> None:
    assert [to_plain(one) for one in read_yaml("a: 1\n---\n# nothing\n---\nb: 2\n", "f")] == [
        {"a": 1},
        {"b": 2},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yml:3: key 'a' is there twice (first in line 1)"),
        ("a: b: c\n", "f.yml:1:5: not valid YAML: mapping values are not allowed in this context"),
        ("services:\n\tweb: 1\n", "f.yml:2:1: not valid YAML: "),
        ("a: [1\n", "f.yml:2:1: not valid YAML: "),
        ("a: *b\n", "f.yml:1:4: not valid YAML: found undefined alias"),
        ("a: &a [*a]\n", "f.yml:1: an anchor refers to itself"),
        ("1: x\n", "f.yml:1: key '1' is not text: put it in quotes"),
        ("? [a]\n: x\n", "f.yml:1: a key must be text"),
        ("a: {<<: 5}\n", "f.yml:1: '<<' needs a map or a list of maps"),
    ],
)
def test_broken_text_gives_one_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ComposeError) as caught:
        read_yaml(text, "f.yml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for previous, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{previous}'] * 9)}]")
    with pytest.raises(ComposeError, match="aliases written out"):
        read_yaml("\n".join(lines), "bomb.yml")
