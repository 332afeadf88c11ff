"""Durations, sizes, processors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.compose.quantities import duration_ns, duration_text, nano_cpus, size_bytes

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0), ("10s", 10 * SECOND), ("1m30s", 90 * SECOND), ("1.5h", 5400 * SECOND),
        ("250ms", SECOND // 4), ("1us", 1000), ("1µs", 1000), ("2d", 172800 * SECOND), ("-1s", -SECOND),
        ("1w", 604800 * SECOND), (".5s", SECOND // 2), ("1h1h", 7200 * SECOND),
    ],
)  # fmt: skip
def test_durations(text: str, nanoseconds: int) -> None:
    assert duration_ns(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "10", "1min", "1h 30m", "s", "-", "1s ", "one"])
def test_a_text_that_is_no_duration_says_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match="write one like 10s"):
        duration_ns(text)


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_a_written_duration_reads_back(nanoseconds: int) -> None:
    assert duration_ns(duration_text(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("nanoseconds", "text"), [(90 * SECOND, "1m30s"), (3600 * SECOND, "1h0m0s"), (1500, "1.5µs")]
)
def test_durations_are_written_as_go_does(nanoseconds: int, text: str) -> None:
    assert duration_text(nanoseconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024), ("1k", 1024), ("1kb", 1024), ("1KiB", 1024), ("512m", 512 * 2**20), ("1 G", 2**30),
        ("1.5b", 1), ("1.5g", 3 * 2**29), ("1e3", 1000), ("1_000", 1000), ("1mib", 2**20), ("+1m", 2**20), ("1p", 2**50),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1e", "1  m", "1.2.3"])
def test_a_text_that_is_no_size_says_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match="write one like 512m"):
        size_bytes(text)


@pytest.mark.parametrize(
    ("text", "nano"), [("0.5", 5 * 10**8), ("2", 2 * SECOND), (".25", 25 * 10**7)]
)
def test_processors(text: str, nano: int) -> None:
    assert nano_cpus(text) == nano


@pytest.mark.parametrize("text", ["", "half", "-1", "0.0000000001"])
def test_no_number_of_processors(text: str) -> None:
    with pytest.raises(ValueError, match=r"processor"):
        nano_cpus(text)
