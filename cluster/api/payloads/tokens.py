"""The bodies of requests about deploy tokens."""

from __future__ import annotations

from cluster.api.payloads.decoding import decode_body
from cluster.errors import InvalidArgument
from cluster.model.spec_struct import ObjectStruct, SpecStruct
from cluster.model.units import SECOND_NS, Timestamp

_LATEST_S = 253_402_300_799  # the end of the year 9999


class TokenRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A token to make; `until` 0 is for ever."""

    name: str
    stacks: tuple[str, ...]
    allow: tuple[str, ...]
    networks: tuple[str, ...]
    until: Timestamp


class _TokenBody(SpecStruct, frozen=True, kw_only=True, gc=False):
    name: str = ""
    stacks: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    until: int = 0  # seconds since 1970


class _RotationBody(SpecStruct, frozen=True, kw_only=True, gc=False):
    until: int | None = None


def decode_token_request(body: bytes) -> TokenRequest:
    """Return a token to make.

    Raises:
        InvalidArgument: a member that is wrong; the message begins with its place.
    """
    given = decode_body(body, _TokenBody)
    return TokenRequest(
        name=given.name,
        stacks=given.stacks,
        allow=given.allow,
        networks=given.networks,
        until=_moment(given.until),
    )


def decode_rotation(body: bytes) -> Timestamp | None:
    """Return until when a token is to hold with its new secret; None leaves that as it is.

    Raises:
        InvalidArgument: it is no time.
    """
    until = decode_body(body or b"{}", _RotationBody).until
    return None if until is None else _moment(until)


def _moment(seconds: int) -> Timestamp:
    if not 0 <= seconds <= _LATEST_S:
        raise InvalidArgument(f"Until: {seconds} is no number of seconds since 1970")
    return Timestamp(seconds * SECOND_NS)
