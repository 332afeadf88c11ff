from __future__ import annotations

import pytest

from cluster.api.versions import (
    NEWEST,
    OLDEST,
    ApiVersion,
    UnsupportedVersion,
    check_version,
    engine_path,
    parse_version,
    served_version,
    split_path,
)
from cluster.errors import InvalidArgument

V41 = ApiVersion(1, 41)


def test_the_newest_version_is_the_lower_one_of_both() -> None:
    assert served_version(V41) == V41
    assert served_version(ApiVersion(1, 99)) == NEWEST
    assert served_version(None) == NEWEST


def test_a_request_without_version_gets_the_newest() -> None:
    assert check_version(None, V41) == V41
    assert check_version("1.24", V41) == ApiVersion(1, 24)


def test_texts_for_clients_of_another_time() -> None:
    with pytest.raises(UnsupportedVersion) as caught:
        check_version("1.99", V41)
    assert str(caught.value) == (
        "client version 1.99 is too new. Maximum supported API version is 1.41"
    )
    assert not caught.value.is_plain
    with pytest.raises(UnsupportedVersion) as caught:
        check_version("1.9", V41)
    assert str(caught.value) == (
        "client version 1.9 is too old. Minimum supported API version is 1.24, "
        "please upgrade your client to a newer version"
    )
    assert caught.value.is_plain


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("1", "old"),
        ("1.", "old"),
        (".", "old"),
        ("1..41", "old"),
        ("0.99", "old"),
        ("1.23.9", "old"),
        ("2", "new"),
        ("1.42", "new"),
        ("1." + "9" * 5000, "new"),
    ],
)
def test_whatever_is_made_of_digits_and_dots_is_a_version(text: str, way: str) -> None:
    assert split_path(f"/v{text}/info") == (text, "/info")
    with pytest.raises(UnsupportedVersion, match=f"client version {text} is too {way}"):
        check_version(text, V41)


@pytest.mark.parametrize(("text", "meant"), [("1.41.0", V41), ("1.041", V41), ("1.24", OLDEST)])
def test_the_first_two_parts_count(text: str, meant: ApiVersion) -> None:
    assert check_version(text, V41) == meant
    assert engine_path(f"/v{text}/x", None, None) == f"/v{meant}/x"


def test_other_words_are_no_versions() -> None:
    for path in ("/vx/info", "/V1.41/info", "/v-1.41/info", "/v/info", "/v1.41a/info"):
        assert split_path(path) == (None, path)


def test_a_path_is_split() -> None:
    assert split_path("/v1.41/services/x") == ("1.41", "/services/x")
    assert split_path("/services/x") == (None, "/services/x")
    assert split_path("/v1.41") == (None, "/v1.41")
    assert split_path("/volumes") == (None, "/volumes")


def test_versions_are_two_numbers() -> None:
    for text in ("1", "1.", "a.b", "1.2.3"):
        with pytest.raises(InvalidArgument):
            parse_version(text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1.50/exec/a?x=/v1.50/", "/v1.41/exec/a?x=/v1.50/"),
        ("/v1.40/exec/a", "/v1.40/exec/a"),
        ("/v1.24/exec/a", "/v1.30/exec/a"),
        ("/exec/a", "/exec/a"),
    ],
)
def test_a_paths_version_is_moved_into_what_the_engine_serves(path: str, expected: str) -> None:
    assert engine_path(path, ApiVersion(1, 30), V41) == expected


def test_an_unknown_engine_is_asked_as_the_client_asks() -> None:
    assert engine_path("/v1.50/exec/a", None, None) == "/v1.50/exec/a"
