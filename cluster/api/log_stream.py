"""Logs of services and tasks: the parameters of a request, and the stream of its answer.

A frame is a header of 8 bytes (the stream's number, three zeros, the length) and one line; a task
with a terminal has no frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from aiohttp import web

from cluster.api.context import ApiContext
from cluster.api.convert.timestamps import rfc3339_fixed
from cluster.api.query import lenient_flag
from cluster.api.request import ApiRequest
from cluster.api.versions import ApiVersion
from cluster.errors import InvalidArgument
from cluster.model.logs import ALL_LINES, LogLine, LogOptions, LogSelection
from cluster.model.task import Task
from cluster.model.units import SECOND_NS, Timestamp

_FRAMES: Final = "application/vnd.docker.multiplexed-stream"
_RAW: Final = "application/vnd.docker.raw-stream"
_FRAMES_SINCE: Final = ApiVersion(1, 42)
_MAX_DIGITS: Final = 18


async def stream_logs(
    api: ApiContext, request: ApiRequest, selection: LogSelection, *, has_terminal: bool
) -> web.StreamResponse:
    """Answer with the lines of the selected tasks.

    Raises:
        InvalidArgument: no stream is chosen, or a parameter is wrong.
    """
    options = _options(request.query)
    has_moments = lenient_flag(request.query, "timestamps")
    has_details = lenient_flag(request.query, "details")
    is_framed = request.version >= _FRAMES_SINCE and not has_terminal
    response = web.StreamResponse(headers={"Content-Type": _FRAMES if is_framed else _RAW})
    with api.node.logs().open(selection, options) as feed:
        request.add_headers(response)
        await response.prepare(request.http)
        async for task, line in feed:
            moment = f"{rfc3339_fixed(line.timestamp)} ".encode() if has_moments else b""
            details = _details(task) if has_details else b""
            content = moment + details + line.data
            await response.write(content if has_terminal else _frame(line, content))
        await response.write_eof()
    return response


def _options(query: Mapping[str, str]) -> LogOptions:
    has_stdout, has_stderr = lenient_flag(query, "stdout"), lenient_flag(query, "stderr")
    if not (has_stdout or has_stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    return LogOptions(
        has_stdout=has_stdout,
        has_stderr=has_stderr,
        is_followed=lenient_flag(query, "follow"),
        since=_since(query.get("since", "")),
        tail=_tail(query.get("tail", "")),
    )


def _since(text: str) -> Timestamp:
    if not text:
        return Timestamp(0)
    match = re.fullmatch(rf"([0-9]{{1,{_MAX_DIGITS}}})(?:\.([0-9]{{0,9}})[0-9]*)?", text)
    if match is None or int(match[1]) > Timestamp((1 << 63) // SECOND_NS - 1):
        raise InvalidArgument(f"since: {text!r} is no number of seconds since 1970")
    return Timestamp(int(match[1]) * SECOND_NS + int((match[2] or "0").ljust(9, "0")))


def _tail(text: str) -> int:
    if text in {"", "all"}:
        return ALL_LINES
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    raise InvalidArgument('tail value must be a positive integer or "all"')


def _details(task: Task) -> bytes:
    """Return who printed a line, as the Docker client needs it."""
    words = {
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.task.id": task.id,
    }
    return (",".join(f"{k}={quote(v, safe='')}" for k, v in words.items()) + " ").encode()


def _frame(line: LogLine, content: bytes) -> bytes:
    return bytes((line.stream, 0, 0, 0)) + len(content).to_bytes(4, "big") + content
