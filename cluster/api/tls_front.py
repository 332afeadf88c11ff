"""TLS between a TCP connection and the protocol that meets it, closing each direction by itself.

asyncio's own TLS ends a connection when the client has sent its last byte.  ``docker run -i`` over
TLS sends its end of data and then waits for output, so there it prints nothing.  Here TLS runs on
buffers in memory: the client's closing alert is the end of its data and of nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from cluster.errors import InvalidArgument

log = structlog.get_logger(__name__)

HANDSHAKE_TIMEOUT_S: Final = 15.0
_PIECE_BYTES: Final = 256 * 1024


def server_context(
    authority: Path, certificate: Path, key: Path, *, accepts_tokens: bool = False
) -> ssl.SSLContext:
    """Return how to prove who this server is, and how clients must.

    Args:
        authority: PEM file of the authority that signs clients' certificates.
        certificate: PEM file of this server's certificate, and of those between it and its root.
        key: PEM file of its private key.
        accepts_tokens: let clients without a certificate in, who then need a deploy token for
            each request; a certificate of another authority is refused all the same.

    Raises:
        InvalidArgument: a file cannot be read or used; the message names it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL if accepts_tokens else ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(f"{authority}: no certificates of an authority: {error}") from None
    try:
        context.load_cert_chain(str(certificate), str(key))
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(
            f"{certificate} and {key}: no certificate and its key: {error}"
        ) from None
    return context


class TlsProtocol(asyncio.Protocol):
    """One TCP connection; the inner protocol sees it once the client has proved who it is."""

    def __init__(self, context: ssl.SSLContext, inner: Callable[[], asyncio.Protocol]) -> None:
        """Wait for the connection; `inner` makes the protocol behind TLS."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._make_inner = inner
        self._inner: asyncio.Protocol | None = None
        self._has_client_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, which must not take long."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(HANDSHAKE_TIMEOUT_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Decrypt what came and pass it on."""
        self._incoming.write(data)
        if self._inner is None and not self._shake_hands():
            return
        self._pass_on()

    def eof_received(self) -> bool:
        """Take an end without a closing alert as an end of data, too."""
        self._incoming.write_eof()
        if self._inner is None:
            return False
        self._pass_on()
        return True  # whoever is behind TLS has been told, and closes

    def pause_writing(self) -> None:
        """Pass on that the client is slow."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client takes more."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is behind TLS."""
        self._deadline.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    # -- for the transport behind TLS ----------------------------------------------------------

    def encrypt(self, data: bytes) -> None:
        """Send data to the client."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._tls.write(view) :]
        except ssl.SSLError:
            self._transport.abort()
        self._flush()

    def end_data(self) -> None:
        """Tell the client that nothing more comes, and go on reading."""
        # The alert is sent; that the client's own has not come yet is no error.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    # -- inside --------------------------------------------------------------------------------

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            log.info("client refused", reason=error.reason or str(error), peer=self._peer())
            self._flush()  # the alert that says why
            self._transport.close()
            return False
        self._flush()
        self._deadline.cancel()
        self._inner = self._make_inner()
        self._inner.connection_made(TlsTransport(self, self._transport, self._tls))
        return True

    def _pass_on(self) -> None:
        while not self._has_client_ended and not self._transport.is_closing():
            try:
                data = self._tls.read(_PIECE_BYTES)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""
            except ssl.SSLError as error:
                log.info("client sent no valid TLS", reason=error.reason, peer=self._peer())
                self._flush()
                self._transport.close()
                return
            assert self._inner is not None
            if data:
                self._inner.data_received(data)
                continue
            self._has_client_ended = True
            if not self._inner.eof_received():
                self.end_data()
                self._transport.close()
        self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _peer(self) -> str:
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if peer else ""


class TlsTransport(asyncio.Transport):
    """The connection as the protocol behind TLS sees it."""

    def __init__(
        self, protocol: TlsProtocol, transport: asyncio.Transport, tls: ssl.SSLObject
    ) -> None:
        """Stand between a TLS protocol and the TCP connection below it."""
        super().__init__()
        self._protocol = protocol
        self._below = transport
        self._tls = tls
        self._has_ended = False

    def write(self, data: Any) -> None:
        """Send bytes."""
        if not self._has_ended and not self._below.is_closing():
            self._protocol.encrypt(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send several pieces."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Send no more, and go on reading."""
        if not self._has_ended and not self._below.is_closing():
            self._has_ended = True
            self._protocol.end_data()

    def can_write_eof(self) -> bool:
        """Yes: the closing alert ends one direction only."""
        return True

    def close(self) -> None:
        """Close after what is still to be sent."""
        self.write_eof()
        self._below.close()

    def abort(self) -> None:
        """Close at once."""
        self._below.abort()

    def is_closing(self) -> bool:
        """Whether the connection is closed or closing."""
        return self._below.is_closing()

    def is_reading(self) -> bool:
        """Whether data is taken from the connection."""
        return self._below.is_reading()

    def pause_reading(self) -> None:
        """Take no more data."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Take data again."""
        self._below.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection, and "peercert" and "ssl_object"."""
        if name == "peercert":
            return self._tls.getpeercert()
        if name == "ssl_object":
            return self._tls
        return self._below.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are still to be sent."""
        return self._below.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks of flow control."""
        return self._below.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks of flow control."""
        self._below.set_write_buffer_limits(high, low)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the TLS protocol."""
        return self._protocol
