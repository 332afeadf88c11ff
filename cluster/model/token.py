"""A deploy token: an identity that may deploy the stacks it names, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from cluster.model.ids import TokenId
from cluster.model.meta import Meta
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import Timestamp

GRANTABLE: Final[Mapping[str, str]] = {
    "privileged": "privileged containers",
    "host-binds": "mounts of the nodes' files, and volumes of other drivers",
    "host-namespaces": "the nodes' network, processes, IPC, host name, users and cgroups",
    "devices": "the nodes' devices, and drivers that give them",
    "capabilities": "capabilities beyond the engine's usual ones",
    "unconfined": "other profiles, runtimes and annotations than the engine's usual ones",
    "volumes": "named volumes that do not bear the stack's name",
    "log-drivers": "log drivers that send elsewhere",
    "ports": "published ports below 1024 but 80 and 443, and those of the cluster itself",
}
"""What a token's services may not have unless it was granted, by the word that grants it."""


class DeployToken(
    ObjectStruct, frozen=True, kw_only=True, gc=False, tag="deploy token", tag_field="kind"
):
    """The identity as the store keeps it: of the secret itself only a digest.

    Writer: the API's commands.
    """

    id: TokenId
    meta: Meta
    name: str
    digest: str  # SHA-256 of the secret, which has 129 random bits, in hexadecimal digits
    stacks: tuple[str, ...]  # names, in which * stands for any characters
    until: Timestamp = Timestamp(0)  # 0 is for ever
    allowed: tuple[str, ...] = ()  # words of `GRANTABLE`
    networks: tuple[str, ...] = ()  # names of networks of no stack of it that it may use

    def covers(self, stack: str) -> bool:
        """Whether a stack is one of those that the token is for; "" is none."""
        return bool(stack) and any(fnmatchcase(stack, pattern) for pattern in self.stacks)

    def covers_name(self, name: str) -> bool:
        """Whether a name could be one of an object of its stacks: STACK_NAME."""
        return any(
            name[at] == "_" and self.covers(name[:at]) for at in range(1, max(1, len(name) - 1))
        )

    def __repr__(self) -> str:
        """Name the token without its digest."""
        return f"DeployToken(name={self.name!r}, stacks={self.stacks!r})"
