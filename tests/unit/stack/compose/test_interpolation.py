"""Variables in values, in all forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.compose.interpolation import (
    BadTemplate,
    RequiredVariable,
    interpolate,
    interpolate_tree,
)
from stack.compose.tree import to_plain
from stack.compose.yaml_reader import read_yaml
from stack.errors import ComposeError

VALUES = {"A": "1", "EMPTY": "", "DOLLAR": "p$$w ${A}"}


def fill(text: str) -> str:
    return interpolate(text, VALUES.get, lambda _: None)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$A ${A}", "1 1"),
        ("${NO:-d} ${NO-d} ${EMPTY:-d} ${EMPTY-d}", "d d d "),
        ("${A:+x} ${A+x} ${EMPTY:+x} ${EMPTY+x} ${NO+x}", "x x  x "),
        ("${A:?e} ${A?e} ${EMPTY?e}", "1 1 "),
        ("${NO:-${ALSO:-${A}}}", "1"),
        ('${NO:-{"k":"v"}}', '{"k":"v"}'),
        ("${NO-a:-b} ${NO:-a?b}", "a:-b a?b"),
        ("$$A $$$A $$$${A}", "$A $1 $${A}"),
        ("$1 $ $} x$", "$1 $ $} x$"),
        ("$A-$NO", "1-"),
        ("$DOLLAR", "p$$w ${A}"),
        ("${A-${NO?needed only when A is missing}}", "1"),
        ("$a ${a:-lower}", " lower"),
    ],
)
def test_forms(text: str, filled: str) -> None:
    assert fill(text) == filled


@pytest.mark.parametrize(
    "text", ["${", "${}", "${ A}", "${A }", "${1A}", "${A.b}", "${A/x/y}", "${A:=x}"]
)
def test_malformed_texts_are_refused(text: str) -> None:
    with pytest.raises(BadTemplate, match="invalid interpolation format"):
        fill(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NO:?set it}", "required variable NO is missing a value: set it"),
        ("${EMPTY:?$A}", "required variable EMPTY is missing a value: 1"),
        ("${NO?}", "required variable NO is missing a value"),
    ],
)
def test_a_missing_required_variable_is_an_error(text: str, message: str) -> None:
    with pytest.raises(RequiredVariable) as caught:
        fill(text)
    assert str(caught.value) == message


@given(st.text(st.characters(exclude_characters="$")))
def test_a_text_without_a_dollar_sign_stays(text: str) -> None:
    assert fill(text) == text


@given(st.text())
def test_doubled_dollar_signs_give_the_text_back(text: str) -> None:
    assert fill(text.replace("$", "$$")) == text


def test_values_are_filled_keys_are_not_and_unset_variables_are_told() -> None:
    (tree,) = read_yaml("services:\n  $A:\n    x: [$A, 5, $NO]\n", "f.yml")
    unset: list[str] = []
    filled = interpolate_tree(tree, VALUES.get, lambda name, mark: unset.append(f"{mark} {name}"))
    assert to_plain(filled) == {"services": {"$A": {"x": ["1", 5, ""]}}}
    assert unset == ["f.yml:3 NO"]


def test_an_error_names_file_line_and_key() -> None:
    (tree,) = read_yaml("services:\n  web:\n    image: ${TAG.x}\n", "f.yml")
    with pytest.raises(ComposeError, match=r"^f\.yml:3: services\.web\.image: invalid interp"):
        interpolate_tree(tree, VALUES.get, lambda _name, _mark: None)
