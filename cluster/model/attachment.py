"""A plain container's place in an attachable network: a container that belongs to no service."""

from __future__ import annotations

from cluster.model.ids import NetworkId, NodeId, TaskId
from cluster.model.meta import Meta
from cluster.model.spec_struct import ObjectStruct


class PlainEndpoint(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What a node says of one of its plain containers' places.

    `id` is that of the attachment; `name` is the container's, `aliases` are further names of it
    in this network alone; `has_resolvers` as of `network_view.TaskEndpoint`.
    """

    id: TaskId
    container_id: str
    name: str
    aliases: tuple[str, ...] = ()
    is_running: bool = False
    has_resolvers: bool = False


class Attachment(
    ObjectStruct, frozen=True, kw_only=True, gc=False, tag="attachment", tag_field="kind"
):
    """A place that lasts from the container's creation to its removal, or to its disconnection.

    Writers: the dispatcher alone. `address` carries the subnet's prefix length; `endpoint` is what
    the node has said last, None until it has seen the container.
    """

    id: TaskId  # among the IDs of tasks, as it takes the place of one in a network
    meta: Meta
    node_id: NodeId
    network_id: NetworkId
    address: str
    endpoint: PlainEndpoint | None = None


class PlainPlace(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A place that was given, in a network that is ready on the node; `address` as above.

    `network_name` is what the node's engine calls the network.
    """

    attachment_id: TaskId
    network_name: str
    gateway: str
    address: str
