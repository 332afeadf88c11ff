"""Connects standard input and output with a socket: the far end of a way through SSH."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Final

_PIECE_BYTES: Final = 64 * 1024


def connect_streams(source: int, sink: int, opened: socket.socket) -> None:
    """Copy in both directions until the socket's other side has sent everything.

    The end of `source` ends that direction only: what is asked last is still answered.

    Args:
        source: file descriptor to read from.
        sink: file descriptor to write to; that its reader goes away ends all, too.
        opened: the socket.

    Raises:
        OSError: the socket fails.
    """
    opened.settimeout(None)
    # It may wait for input for ever, and must not keep the process when all has been answered.
    sending = threading.Thread(target=_send_all, args=(source, opened), daemon=True)
    sending.start()
    while data := opened.recv(_PIECE_BYTES):
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(sink, view) :]
        except BrokenPipeError:
            return


def _send_all(source: int, opened: socket.socket) -> None:
    with suppress(OSError):  # the other direction tells how it went
        while data := os.read(source, _PIECE_BYTES):
            opened.sendall(data)
        opened.shutdown(socket.SHUT_WR)
