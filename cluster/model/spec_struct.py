"""The two bases of every structure of the model.

Specs carry the names of the Docker Engine API (``NanoCPUs``), so that one definition serves the
store, the wire between nodes and the API.  Objects are our own and keep their Python names.

Both are frozen and take no part in Python's cyclic garbage collection (``gc=False``): the model
holds no cycles, and a full collection over 100,000 tracked tasks would stop the process for a
quarter of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

T = TypeVar("T")


class SpecStruct(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="pascal"
):
    """A part of a user's wish, named as the Docker Engine API names it.

    A member at its default is left out when encoded, as Go's ``omitempty`` does; a member that
    the API always shows has a default *factory* (see `always`), which msgspec never leaves out.
    """


class ObjectStruct(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A stored object or a part of one."""


def always(value: T, name: str | None = None) -> T:
    """Declare a member with a default that is nevertheless always encoded."""
    field: T = msgspec.field(default_factory=lambda: value, name=name)
    return field


Labels = Mapping[str, str]
