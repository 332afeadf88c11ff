"""The way to an API on another host through SSH, as Docker's client goes it.

``ssh`` itself is started: it knows the user's keys, agents, jump hosts and known hosts.  On the
other host it runs ``stack system dial-stdio``, which passes on to the API there what comes in.
"""

from __future__ import annotations

import errno
import shlex
import socket
import subprocess
import tempfile
from typing import IO, Any, Final

from stack.engine.endpoint import Endpoint

CONNECT_TIMEOUT_S: Final = 30
_END_S: Final = 5.0
_LONGEST_MESSAGE: Final = 2000
_NOT_FOUND: Final = 127  # of a shell
_OF_SSH_ITSELF: Final = 255


class SshError(OSError):
    """The way to the other host broke off; `strerror` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.ECONNRESET, reason)


def ssh_command(endpoint: Endpoint) -> list[str]:
    """The command that connects its standard input and output with the API."""
    command = ["ssh", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}", "-T"]
    if endpoint.user:
        command += ["-l", endpoint.user]
    if endpoint.port:
        command += ["-p", str(endpoint.port)]
    remote = ["stack", *(["-H", f"unix://{endpoint.path}"] if endpoint.path else [])]
    return [*command, "--", endpoint.address, shlex.join([*remote, "system", "dial-stdio"])]


def open_ssh(endpoint: Endpoint) -> SshSocket:
    """A socket whose other end is the API on another host.

    Raises:
        SshError: there is no `ssh` here. All else shows when the socket is used.
    """
    mine, theirs = socket.socketpair()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - the socket closes it
    try:
        process = subprocess.Popen(
            ssh_command(endpoint), stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=errors
        )
    except OSError as error:
        mine.close()
        errors.close()
        if isinstance(error, FileNotFoundError):
            raise SshError("there is no ssh on this host: install OpenSSH's client") from None
        raise SshError(f"ssh cannot be started: {error.strerror}") from None
    finally:
        theirs.close()
    return SshSocket(mine, process, errors, endpoint.address)


class SshSocket(socket.socket):
    """Our end of the pair; where it breaks off, the error is what ssh and the other host said."""

    def __init__(
        self, opened: socket.socket, process: subprocess.Popen[bytes], errors: IO[bytes], host: str
    ) -> None:
        """Take over a socket, the process at its other end, and where that writes errors to."""
        super().__init__(opened.family, opened.type, opened.proto, opened.detach())
        self._process = process
        self._errors = errors
        self._host = host

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """As of a socket; its end is an error unless the process has ended well.

        Raises:
            SshError: it has not.
        """
        try:
            data = super().recv(bufsize, flags)
        except ConnectionError:
            data = b""
        if not data and bufsize:
            self._check_end()
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As of a socket.

        Raises:
            SshError: the process has ended.
        """
        try:
            super().sendall(data, flags)
        except ConnectionError:
            self._check_end()
            raise SshError("ssh closed the connection without an answer") from None

    def close(self) -> None:
        """Close it and wait for the process, which ends with its input."""
        super().close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _check_end(self) -> None:
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return  # it has closed its output only
        if code == 0:
            return
        said = self._said()
        if code == _NOT_FOUND:
            raise SshError(
                f"{self._host} has no command stack, which has to be in the PATH of a login "
                f"without a terminal{said}"
            )
        if code == _OF_SSH_ITSELF:
            raise SshError(f"ssh failed{said}")
        raise SshError(f"stack system dial-stdio on {self._host} ended with {code}{said}")

    def _said(self) -> str:
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace").strip()
        return f": {text[-_LONGEST_MESSAGE:]}" if text else ""
