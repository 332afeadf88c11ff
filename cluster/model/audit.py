"""The audit log: who changed what of the cluster, an entry for each request that changed something.

An entry never changes, and holds names only: no contents, environments, credentials or tokens.
"""

from __future__ import annotations

from typing import Final, Literal

from cluster.model.ids import AuditId, NodeId, TokenId
from cluster.model.meta import Meta
from cluster.model.spec_struct import ObjectStruct

KEPT_ENTRIES: Final = 3000
"""So many are kept, and a few more until the oldest are dropped."""

KEPT_OF_A_TOKEN: Final = 500
"""Of these at most, of one deploy token, so that its holder cannot push out what others did."""

KEPT_REFUSALS: Final = 50
"""And so many requests at most that one deploy token was refused."""

KEPT_CHANGES: Final = 50
"""Changes that one entry names; of the others it has the number."""


class Author(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Who asks for a change, as the connection or a deploy token proves it."""

    name: str  # such as "user root", "certificate ci", "token ci"
    origin: str = ""  # where the request came from: "unix uid 0", "tcp 10.0.0.7"
    node_id: NodeId = NodeId("")  # the node that it was sent to
    token_id: TokenId = TokenId("")


CLUSTER_ITSELF: Final = Author(name="the cluster itself")
"""The leader, where it decides what nobody has asked for just then."""

Deed = Literal["created", "updated", "scaled", "rotated", "removed"]


class AuditedChange(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What was done to one object; `note` says what of it matters, such as a service's image."""

    deed: Deed
    kind: str
    name: str
    note: str = ""


class AuditEntry(
    ObjectStruct, frozen=True, kw_only=True, gc=False, tag="audit entry", tag_field="kind"
):
    """What one request changed, made in the same step; or what a token was refused.

    Its version is the revision of the step, `created_at` the leader's time.

    Writers: whoever makes the step.
    """

    id: AuditId
    meta: Meta
    author: Author
    node: str = ""  # host name of the node that the request was sent to
    action: str  # such as "stack deploy"
    stack: str = ""  # the one stack that all of it is about
    revision: int = 0  # the stack's number after a deployment or rollback
    changes: tuple[AuditedChange, ...] = ()
    left_out: int = 0  # changes that there is no place for
    refusal: str = ""  # why nothing was changed
