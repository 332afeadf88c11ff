from __future__ import annotations

import pytest

from cluster.api.filters import Filters
from cluster.errors import InvalidArgument

KNOWN = ("name", "label", "id", "dangling")


@pytest.mark.parametrize(
    "text", ['{"name":["web"]}', '{"name":{"web":true}}', '{"name":{"web":false}}']
)
def test_both_forms_mean_the_same(text: str) -> None:
    filters = Filters.parse(text, KNOWN)
    assert filters.get("name") == ("web",)
    assert "name" in filters
    assert "id" not in filters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xx", "not valid JSON"),
        ("[]", "expected an object"),
        ('{"foo":["a"]}', "invalid filter 'foo'"),
        ('{"name":"a"}', "filters: name: expected"),
        ('{"name":[1]}', "filters: name: expected"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message.replace("[", r"\[")):
        Filters.parse(text, KNOWN)


def test_no_filters_fit_everything() -> None:
    for text in (None, "", "null", "{}"):
        filters = Filters.parse(text, KNOWN)
        assert filters.one_is("name", "a")
        assert filters.one_starts("id", "a")
        assert filters.one_is_part_of("name", "a")
        assert filters.labels_fit("label", None)


def test_values_are_alternatives_and_labels_are_not() -> None:
    filters = Filters.parse('{"name":["a","b"],"label":["x","y=1"]}', KNOWN)
    assert filters.one_is("name", "b")
    assert not filters.one_is("name", "bb")
    assert filters.one_starts("name", "zz", "bb")
    assert filters.one_is_part_of("name", "xbx")
    assert filters.labels_fit("label", {"x": "", "y": "1"})
    assert not filters.labels_fit("label", {"x": "", "y": "2"})
    assert not filters.labels_fit("label", {"y": "1"})
    assert not filters.labels_avoid("label", {"y": "1"})
    assert filters.labels_avoid("label", {"y": "2"})


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("0", False)])
def test_a_flag(value: str, expected: bool) -> None:
    assert Filters.parse(f'{{"dangling":["{value}"]}}', KNOWN).flag("dangling") is expected


def test_a_flag_is_yes_or_no() -> None:
    assert Filters.parse(None, KNOWN).flag("dangling") is None
    with pytest.raises(InvalidArgument, match="expected true or false"):
        Filters.parse('{"dangling":["maybe"]}', KNOWN).flag("dangling")
