"""The body of a request to change a node."""

from __future__ import annotations

import typing

from cluster.api.payloads.decoding import decode_body
from cluster.errors import InvalidArgument
from cluster.model.node import Availability, NodeSpec, Role
from cluster.model.spec_struct import Labels, SpecStruct

_ROLES = typing.get_args(Role)
_AVAILABILITIES = typing.get_args(Availability)


class _NodeSpecBody(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A node's spec without defaults: an absent role must not demote a manager."""

    name: str = ""
    labels: Labels = {}
    role: str = ""
    availability: str = ""


def decode_node_spec(body: bytes) -> NodeSpec:
    """Return the spec that a client wishes for.

    Raises:
        InvalidArgument: no spec, or a member that is wrong, which the message names.
    """
    given = decode_body(body, _NodeSpecBody)
    if given.role not in _ROLES:
        raise InvalidArgument(f'invalid Role: "{given.role}"; expected worker or manager')
    return NodeSpec(
        name=given.name,
        labels=given.labels,
        role=typing.cast("Role", given.role),
        availability=parse_availability(given.availability),
    )


def parse_availability(text: str) -> Availability:
    """Return a word as an availability.

    Raises:
        InvalidArgument: it is none.
    """
    if text not in _AVAILABILITIES:
        raise InvalidArgument(f'invalid Availability: "{text}"; expected active, pause or drain')
    return typing.cast("Availability", text)
