"""Members of a service's spec that are newer than the oldest version of the API served here.

Docker's engine drops them from requests in an older version, in `adjustForAPIVersion`, for all
versions from 1.40 on; others it takes from everybody.  A client that speaks an older version does
not know them, so what it sends there is chance, such as a member that its library never checked.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from cluster.api.versions import ApiVersion
from cluster.model.service import ServiceSpec

_CONTAINER: Final = "TaskTemplate.ContainerSpec"

SINCE: Final = {
    f"{_CONTAINER}.Sysctls": ApiVersion(1, 40),
    f"{_CONTAINER}.Privileges.CredentialSpec.Config": ApiVersion(1, 40),
    f"{_CONTAINER}.Configs[].Runtime": ApiVersion(1, 40),
    "TaskTemplate.Placement.MaxReplicas": ApiVersion(1, 40),
    f"{_CONTAINER}.CapabilityAdd": ApiVersion(1, 41),
    f"{_CONTAINER}.CapabilityDrop": ApiVersion(1, 41),
    f"{_CONTAINER}.Ulimits": ApiVersion(1, 41),
    "TaskTemplate.Resources.Limits.Pids": ApiVersion(1, 41),
    "Mode.ReplicatedJob": ApiVersion(1, 41),
    "Mode.GlobalJob": ApiVersion(1, 41),
    f"{_CONTAINER}.Privileges.Seccomp": ApiVersion(1, 44),
    f"{_CONTAINER}.Privileges.AppArmor": ApiVersion(1, 44),
    f"{_CONTAINER}.Privileges.NoNewPrivileges": ApiVersion(1, 44),
    f"{_CONTAINER}.Healthcheck.StartInterval": ApiVersion(1, 44),
    f"{_CONTAINER}.Mounts[].TmpfsOptions.Options": ApiVersion(1, 46),
    f"{_CONTAINER}.OomScoreAdj": ApiVersion(1, 46),
}
"""The version that brought each of them."""


def without_newer_members(spec: ServiceSpec, version: ApiVersion) -> ServiceSpec:
    """Return a spec as a client of `version` can have meant it: newer members are not set."""
    for member, since in SINCE.items():
        if version < since:
            spec = _unset(spec, member.replace("[]", "").split("."))
    return spec


def _unset(value: Any, path: list[str]) -> Any:
    """Return a structure, or several, with the member at a path as if nobody had named it."""
    if isinstance(value, tuple):
        return tuple(_unset(one, path) for one in value)
    if value is None:
        return None
    name, *deeper = path
    field = next(f for f in msgspec.structs.fields(value) if f.encode_name == name)
    wanted = _unset(getattr(value, field.name), deeper) if deeper else field.default
    return msgspec.structs.replace(value, **{field.name: wanted})
