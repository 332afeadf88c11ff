"""Takes the engine's log streams apart: frames of 8 bytes of header and a line, or plain lines.

Every line begins with its moment, which was asked for so that a reader can go on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cluster.model.ids import TaskId
from cluster.model.logs import STDERR, STDOUT, LogLine
from cluster.model.units import SECOND_NS, Timestamp

_HEADER_BYTES: Final = 8
_MOMENT: Final = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d) ?"
)

LONGEST_PIECE: Final = 64 << 10
"""Bytes without a line's end, as of a terminal that draws a bar, before they go on in pieces."""


class LogFrames:
    """The lines of one container's log, as bytes of it arrive."""

    def __init__(self, task_id: TaskId, *, has_terminal: bool) -> None:
        """Begin a log; with a terminal there is one stream and no frames."""
        self._task_id = task_id
        self._has_terminal = has_terminal
        self._rest = b""
        self._moment = Timestamp(0)  # of the latest line

    def feed(self, data: bytes) -> Iterator[LogLine]:
        """Take bytes and iterate over the lines that are complete."""
        self._rest += data
        return self._lines() if self._has_terminal else self._frames()

    def rest(self) -> Iterator[LogLine]:
        """Iterate over what is left when the log ends."""
        if self._has_terminal and self._rest:
            yield self._line(STDOUT, self._rest)
        self._rest = b""

    def _lines(self) -> Iterator[LogLine]:
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            yield self._line(STDOUT, line + b"\n")
        if len(self._rest) > LONGEST_PIECE:
            piece, self._rest = self._rest, b""
            yield self._line(STDOUT, piece)

    def _frames(self) -> Iterator[LogLine]:
        begin = 0
        while len(self._rest) - begin >= _HEADER_BYTES:
            stream = self._rest[begin]
            length = int.from_bytes(self._rest[begin + 4 : begin + _HEADER_BYTES], "big")
            end = begin + _HEADER_BYTES + length
            if len(self._rest) < end:
                break
            yield self._line(stream, self._rest[begin + _HEADER_BYTES : end])
            begin = end
        self._rest = self._rest[begin:]

    def _line(self, stream: int, content: bytes) -> LogLine:
        match = _MOMENT.match(content)
        if match is not None:
            self._moment = _moment(match)
        elif not self._has_terminal:
            self._moment = Timestamp(0)
        return LogLine(
            task_id=self._task_id,
            stream=STDERR if stream == STDERR else STDOUT,
            timestamp=self._moment,
            data=content if match is None else content[match.end() :],
        )


def _moment(match: re.Match[bytes]) -> Timestamp:
    """Return the moment; the engine writes UTC.

    Days are counted as in `cluster.api.convert.timestamps` (Howard Hinnant, days_from_civil).
    """
    year, month, day, hour, minute, second = (int(text) for text in match.groups()[:6])
    nanos = int((match.group(7) or b"0").ljust(9, b"0"))
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    days = era * 146_097 + day_of_era - 719_468
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second
    return Timestamp(seconds * SECOND_NS + nanos)
