"""Who sends a request: what the connection proves, or a deploy token.

The unix socket and a client's certificate prove an administrator.  A deploy token takes rights
away: whoever shows one is what the token says, also on such a connection.  What a manager passes
on comes in by the node's own socket from the node's own process, which nobody else can be.
"""

from __future__ import annotations

import functools
import os
import pwd
import socket
import struct
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from aiohttp import web

from cluster.errors import Unauthenticated
from cluster.model.ids import NodeId
from cluster.model.token import DeployToken

FORWARDED: Final = "X-Stackyard-Forwarded"
"""Names the node that passed a request on."""

CALLER: Final = "X-Stackyard-Caller"
"""Names who sent it to that node; believed only of this process itself."""

ORIGIN: Final = "X-Stackyard-Origin"
"""Says from where; believed only of this process itself, as is `FORWARDED` where it counts."""

NEWEST_THERE: Final = "X-Stackyard-Newest"
"""Says which version of the API that node serves at most; who lies is answered in another one."""

_LONGEST_NAME: Final = 128
_UNPROVEN: Final = (
    "a client without a certificate needs a deploy token: give it in STACK_TOKEN, or for docker as "
    'the header {"HttpHeaders": {"Authorization": "Bearer stk_…"}} of its config.json'
)


class Origin(NamedTuple):
    """Where a request comes from, for people, and the node that passed it on, "" for none."""

    place: str = ""
    node_id: NodeId = NodeId("")


class Caller(NamedTuple):
    """Who sends a request, for people; with a token it may do what that says, else anything."""

    name: str
    token: DeployToken | None = None
    origin: Origin = Origin()


def bearer_of(http: web.BaseRequest) -> str:
    """Return the text of the deploy token that a request shows, "" if it shows none.

    Raises:
        Unauthenticated: it shows several.
    """
    values = [
        value.strip()[len("bearer ") :].strip()
        for value in http.headers.getall("Authorization", ())
        if f"{value.strip()} ".lower().startswith("bearer ")
    ]
    if len(values) > 1:
        raise Unauthenticated("the request shows several deploy tokens: leave one")
    return values[0] or "-" if values else ""


def is_proven(transport: Any) -> bool:
    """Whether a connection itself proves an administrator."""
    if transport is None:
        return False
    return transport.get_extra_info("ssl_object") is None or bool(
        transport.get_extra_info("peercert")
    )


def connected_caller(http: web.BaseRequest) -> Caller:
    """Return whom the connection of a request proves.

    Raises:
        Unauthenticated: nobody.
    """
    transport = http.transport
    if transport is None or not is_proven(transport):
        raise Unauthenticated(_UNPROVEN)
    origin = origin_of(http)
    if transport.get_extra_info("ssl_object") is not None:
        return Caller(_printable(f"certificate {_common_name(transport)}"), origin=origin)
    peer = _unix_peer(transport)
    if peer is None:
        return Caller("plain tcp", origin=origin)
    if peer.is_this_process and CALLER in http.headers:
        return Caller(_printable(unquote(http.headers[CALLER])), origin=origin)
    return Caller(f"user {_user_name(peer.uid)}", origin=origin)


def origin_of(http: web.BaseRequest) -> Origin:
    """Return where a request comes from: of one that was passed on, where it came from there."""
    transport = http.transport
    if transport is None:
        return Origin()
    peer = _unix_peer(transport)
    if peer is None:
        address = transport.get_extra_info("peername")
        return Origin(f"tcp {address[0]}" if address else "")
    if peer.is_this_process and ORIGIN in http.headers:
        place = _printable(unquote(http.headers[ORIGIN]))
        return Origin(place, NodeId(http.headers.get(FORWARDED, "")))
    return Origin(f"unix uid {peer.uid}")


class _UnixPeer(NamedTuple):
    """Who is at the other end of a unix socket."""

    uid: int
    is_this_process: bool


def _unix_peer(transport: Any) -> _UnixPeer | None:
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return _UnixPeer(uid, pid == os.getpid())


def _common_name(transport: Any) -> str:
    subject = (transport.get_extra_info("peercert") or {}).get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]
    return str(names[-1]) if names else "without a name"


def _printable(text: str) -> str:
    """Return a text that others chose without what could look like something else in a list."""
    return "".join(c if c.isprintable() else "?" for c in text)[:_LONGEST_NAME]


@functools.lru_cache(maxsize=64)
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
