"""A stack as one object: what was deployed under a name, revision by revision.

Clients of the Engine API know a stack by a label on its objects, and so does all else here.
Beside it the cluster keeps what each deployment through the extension ``/stacks`` left behind,
so that it can be returned to as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from cluster.model.ids import (
    ConfigId,
    NetworkId,
    RevisionId,
    SecretId,
    ServiceId,
    StackId,
    TaskId,
)
from cluster.model.meta import Meta
from cluster.model.network import Network
from cluster.model.registry_login import RegistryAuth
from cluster.model.service import ServiceSpec
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import DurationNs, Timestamp

NAMESPACE_LABEL: Final = "com.docker.stack.namespace"
CONTENT_LABEL: Final = "com.stackyard.content"
"""On secrets and configs that have a version for each content: the digest of this one's."""

VERSION_LABEL: Final = "com.stackyard.version-of"
"""On those that have not the plain name: that name."""

KEPT_REVISIONS: Final = 10


class Lease(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The right to deploy a stack, until a moment; `holder` is for people, `token` proves it.

    One that somebody broke stays until the next is taken, so that its holder hears of it.
    """

    holder: str
    token: str
    until: Timestamp
    since: Timestamp = Timestamp(0)  # 0 in what earlier versions stored
    broken_by: str = ""  # who ended it; "" for nobody


RolloutState = Literal["under way", "held", "going back", "back", "stuck"]
RolloutFailure = Literal["", "failed", "unschedulable", "timed out"]


class Rollout(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A deployment that is to succeed as a whole, and what has become of it.

    When it fails all services return to the revision `former`; where that is 0 there was none,
    and what the deployment made is removed.  `began_at` is when the present state began to be
    watched, `steady_since` since when all services have run (0: they do not).  `failure`, `reason`
    and `task_id` say why it goes back.  The surplus is what is to be removed once it holds.
    """

    revision: int
    former: int
    author: str = ""
    state: RolloutState = "under way"
    began_at: Timestamp
    timeout_ns: DurationNs
    stable_ns: DurationNs
    steady_since: Timestamp = Timestamp(0)
    failure: RolloutFailure = ""
    reason: str = ""
    task_id: TaskId = TaskId("")
    made_networks: tuple[NetworkId, ...] = ()
    made_secrets: tuple[SecretId, ...] = ()
    made_configs: tuple[ConfigId, ...] = ()
    surplus_services: tuple[ServiceId, ...] = ()
    surplus_networks: tuple[NetworkId, ...] = ()

    @property
    def is_pruning(self) -> bool:
        """Whether it holds and networks wait for the last task of removed services."""
        return self.state == "held" and bool(self.surplus_networks)

    @property
    def is_pending(self) -> bool:
        """Whether it is not decided yet, or not carried out."""
        return self.state in {"under way", "going back"}


class Stack(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="stack", tag_field="kind"):
    """What is to be known of a stack now; `revision` is the number of the present one, 0 if none.

    Writers: the API's commands; `rollout` also the reconciler of rollouts.
    """

    id: StackId
    meta: Meta
    name: str
    revision: int = 0
    lease: Lease | None = None
    rollout: Rollout | None = None  # the last deployment that was to succeed as a whole


class ServiceLogin(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The registry credentials of a service, by its name; nobody is shown them."""

    service: str
    auth: RegistryAuth


class StackRevision(
    ObjectStruct, frozen=True, kw_only=True, gc=False, tag="stack revision", tag_field="kind"
):
    """What a stack was after one deployment; it never changes, but for its logins.

    Specs are as stored, with the IDs of networks, secrets and configs and with pinned images, so
    that returning to them gives the same tasks.  Networks are kept whole, as one that was removed
    is made again under its ID; secrets and configs stay in the cluster as long as a revision
    needs them.  Registry logins are those that the services had last with these specs, so that no
    image is asked for with the login of another.
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
    logins: tuple[ServiceLogin, ...] = ()  # of services that have one, by name

    def login_of(self, service: str) -> RegistryAuth | None:
        """Return the credentials with which the service's image is pulled, None for none."""
        return next((one.auth for one in self.logins if one.service == service), None)

    def is_same_as(self, other: StackRevision) -> bool:
        """Whether both describe the same objects, with whatever logins."""
        return (self.services, self.secrets, self.configs) == (
            other.services,
            other.secrets,
            other.configs,
        ) and [n.id for n in self.networks] == [n.id for n in other.networks]


def stack_of(labels: Mapping[str, str] | None) -> str:
    """Return the stack that an object with these labels belongs to, "" for none."""
    return (labels or {}).get(NAMESPACE_LABEL, "")
