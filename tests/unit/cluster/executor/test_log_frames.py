from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from cluster.executor.log_frames import LONGEST_PIECE, LogFrames
from cluster.model.ids import TaskId
from cluster.model.logs import LogLine

TASK = TaskId("task")


def _frame(stream: int, content: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(content).to_bytes(4, "big") + content


def _fed(frames: LogFrames, *pieces: bytes) -> list[LogLine]:
    lines = [line for piece in pieces for line in frames.feed(piece)]
    return lines + list(frames.rest())


def test_frames_give_streams_moments_and_lines() -> None:
    data = _frame(1, b"2026-11-23T09:09:15.865730097Z out\n") + _frame(
        2, b"1970-01-01T00:00:01Z err\n"
    )
    out, err = _fed(LogFrames(TASK, has_terminal=False), data)
    assert (out.stream, out.timestamp, out.data) == (1, 1795424955865730097, b"out\n")
    assert (err.stream, err.timestamp, err.data) == (2, 1_000_000_000, b"err\n")


def test_the_leap_day_is_known() -> None:
    (line,) = _fed(LogFrames(TASK, has_terminal=False), _frame(1, b"2028-02-29T00:00:00.5Z x\n"))
    assert line.timestamp == 1835395200_500_000_000


def test_a_terminal_has_lines_without_frames() -> None:
    frames = LogFrames(TASK, has_terminal=True)
    lines = _fed(frames, b"1970-01-01T00:00:01Z a\r\n1970-01-01T00:00:02Z b", b"c")
    assert [(line.stream, line.data) for line in lines] == [(1, b"a\r\n"), (1, b"bc")]
    assert [line.timestamp for line in lines] == [1_000_000_000, 2_000_000_000]


def test_a_terminal_that_ends_no_line_goes_on_in_pieces() -> None:
    frames = LogFrames(TASK, has_terminal=True)
    bar = [b"1970-01-01T00:00:01Z "] + [b"10 %\r" * 1000] * 100 + [b"\n1970-01-01T00:00:02Z b\n"]
    lines = _fed(frames, *bar)
    assert b"".join(line.data for line in lines) == b"10 %\r" * 100_000 + b"\nb\n"
    assert max(len(line.data) for line in lines) < LONGEST_PIECE + 10_000
    assert {line.timestamp for line in lines[:-1]} == {1_000_000_000}
    assert lines[-1].timestamp == 2_000_000_000


def test_a_line_without_a_moment_is_kept_whole() -> None:
    (line,) = _fed(LogFrames(TASK, has_terminal=False), _frame(1, b"no moment\n"))
    assert (line.timestamp, line.data) == (0, b"no moment\n")


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=30))),
    st.lists(st.integers(0, 200)),
)
def test_where_the_pieces_are_cut_makes_no_difference(
    lines: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(_frame(stream, content) for stream, content in lines)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    whole = _fed(LogFrames(TASK, has_terminal=False), data)
    assert _fed(LogFrames(TASK, has_terminal=False), *pieces) == whole
    assert len(whole) == len(lines)
