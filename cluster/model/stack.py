"""A stack as one object: what was deployed under a name, revision by revision.

Clients of the Engine API know a stack by a label on its objects, and so does all else here.
Beside it the cluster keeps what each deployment through the extension ``/stacks`` left behind,
so that it can be returned to as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cluster.model.ids import ConfigId, RevisionId, SecretId, StackId
from cluster.model.meta import Meta
from cluster.model.network import Network
from cluster.model.service import ServiceSpec
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import Timestamp

NAMESPACE_LABEL: Final = "com.docker.stack.namespace"
CONTENT_LABEL: Final = "com.stackyard.content"
"""On secrets and configs that have a version for each content: the digest of this one's."""

VERSION_LABEL: Final = "com.stackyard.version-of"
"""On those that have not the plain name: that name."""

KEPT_REVISIONS: Final = 10


class Lease(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The right to deploy a stack, until a moment; `holder` is for people, `token` proves it."""

    holder: str
    token: str
    until: Timestamp


class Stack(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="stack", tag_field="kind"):
    """What is to be known of a stack now; `revision` is the number of the present one, 0 if none.

    Writer: the API's commands.
    """

    id: StackId
    meta: Meta
    name: str
    revision: int = 0
    lease: Lease | None = None


class StackRevision(
    ObjectStruct, frozen=True, kw_only=True, gc=False, tag="stack revision", tag_field="kind"
):
    """What a stack was after one deployment; it never changes.

    Specs are as stored, with the IDs of networks, secrets and configs and with pinned images, so
    that returning to them gives the same tasks.  Networks are kept whole, as one that was removed
    is made again under its ID; secrets and configs stay in the cluster as long as a revision
    needs them.
    """

    id: RevisionId
    meta: Meta
    stack: str
    number: int  # from 1
    message: str = ""
    author: str = ""  # as the client says
    services: tuple[ServiceSpec, ...] = ()  # by name
    networks: tuple[Network, ...] = ()  # by name
    secrets: tuple[SecretId, ...] = ()
    configs: tuple[ConfigId, ...] = ()

    def is_same_as(self, other: StackRevision) -> bool:
        """Whether both describe the same objects."""
        return (self.services, self.secrets, self.configs) == (
            other.services,
            other.secrets,
            other.configs,
        ) and [n.id for n in self.networks] == [n.id for n in other.networks]


def stack_of(labels: Mapping[str, str] | None) -> str:
    """Return the stack that an object with these labels belongs to, "" for none."""
    return (labels or {}).get(NAMESPACE_LABEL, "")
