"""Takes the API's log stream apart: frames, the task that printed a line, and the line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl

import msgspec

_HEADER_BYTES = 8
_STDERR = 2
_NODE, _TASK = "com.docker.swarm.node.id", "com.docker.swarm.task.id"


class LogLine(msgspec.Struct, frozen=True):
    """A line that a task printed, with its end; `moment` is "" when none was asked for."""

    node_id: str
    task_id: str
    moment: str
    text: bytes
    is_error: bool


def log_lines(pieces: Iterable[bytes], *, framed: bool, moments: bool) -> Iterator[LogLine]:
    """Iterate over lines as their bytes come.

    Args:
        pieces: the stream, asked for with details.
        framed: whether lines stand in frames; those of a terminal do not.
        moments: whether moments were asked for.
    """
    contents = _frames(pieces) if framed else _plain(pieces)
    for stream, content in contents:
        moment, rest = "", content
        if moments:
            first, _, rest = rest.partition(b" ")
            moment = first.decode(errors="replace")
        words, _, text = rest.partition(b" ")
        details = dict(parse_qsl(words.decode(errors="replace"), separator=","))
        yield LogLine(
            node_id=details.get(_NODE, ""),
            task_id=details.get(_TASK, ""),
            moment=moment,
            text=text,
            is_error=stream == _STDERR,
        )


def _frames(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    rest = b""
    for piece in pieces:
        rest += piece
        while len(rest) >= _HEADER_BYTES:
            end = _HEADER_BYTES + int.from_bytes(rest[4:_HEADER_BYTES], "big")
            if len(rest) < end:
                break
            yield rest[0], rest[_HEADER_BYTES:end]
            rest = rest[end:]


def _plain(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from ((1, line + b"\n") for line in lines)
    if rest:
        yield 1, rest
