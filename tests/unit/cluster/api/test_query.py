from __future__ import annotations

import pytest

from cluster.api.query import lenient_flag, object_version, strict_flag
from cluster.errors import InvalidArgument


@pytest.mark.parametrize("text", ["", "0", "no", "False", "NONE"])
def test_a_few_words_mean_no(text: str) -> None:
    assert not lenient_flag({"force": text}, "force")


@pytest.mark.parametrize("text", ["1", "true", "True", "anything"])
def test_all_others_mean_yes(text: str) -> None:
    assert lenient_flag({"force": text}, "force")


def test_a_strict_flag_takes_no_other_words() -> None:
    assert strict_flag({"status": "True"}, "status")
    assert not strict_flag({"status": "f"}, "status")
    assert not strict_flag({}, "status")
    with pytest.raises(InvalidArgument, match="invalid value for status: maybe"):
        strict_flag({"status": "maybe"}, "status")


@pytest.mark.parametrize("text", ["", "abc", "-1", "1.0", "²", "1" * 5000])
def test_a_version_is_a_number(text: str) -> None:
    assert object_version({"version": "12"}, "service") == 12
    with pytest.raises(InvalidArgument, match=f"invalid service version '{text}'"):
        object_version({"version": text}, "service")
