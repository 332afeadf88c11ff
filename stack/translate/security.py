"""``security_opt``: what the Engine API's services can say, and what goes into the label."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from stack.engine.payloads import Json
from stack.errors import ComposeError

_SELINUX_MEMBERS = {"user": "User", "role": "Role", "type": "Type", "level": "Level"}


def privileges(service: str, options: Iterable[str]) -> tuple[Json, tuple[str, ...]]:
    """``ContainerSpec.Privileges``, and the options that it has no member for.

    Docker's client always sends the first three members; without them, changing between the two
    clients would be a change of the spec and restart tasks.

    Args:
        service: the service's key, for errors.
        options: as in the file: ``no-new-privileges``, ``seccomp=unconfined``, ``label:disable``.

    Raises:
        ComposeError: a seccomp profile in a file, which is on this machine only.
    """
    made: Json = {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False}
    rest = []
    for option in options:
        name, value = _split(option)
        match name, value:
            case "no-new-privileges", "" | "true" | "false":
                made["NoNewPrivileges"] = value != "false"
            case "seccomp", _:
                made["Seccomp"] = _seccomp(service, value)
            case "apparmor", "unconfined":
                made["AppArmor"] = {"Mode": "disabled"}
            case "label", "disable":
                made["SELinuxContext"] = _selinux(made["SELinuxContext"], "Disable", value=True)
            case "label", _ if value.partition(":")[0] in _SELINUX_MEMBERS:
                key, _, text = value.partition(":")
                member = _SELINUX_MEMBERS[key]
                made["SELinuxContext"] = _selinux(made["SELinuxContext"], member, value=text)
            case _:
                rest.append(option)
    if not made.get("Seccomp", True):
        del made["Seccomp"]
    return made, tuple(rest)


def _split(option: str) -> tuple[str, str]:
    """Name and value; the old spelling has a colon between them."""
    equals, colon = option.find("="), option.find(":")
    at = equals if colon < 0 or 0 <= equals < colon else colon
    return (option, "") if at < 0 else (option[:at], option[at + 1 :])


def _seccomp(service: str, value: str) -> Json:
    if value == "unconfined":
        return {"Mode": "unconfined"}
    if value in {"", "builtin", "default"}:
        return {}
    if value.lstrip().startswith("{"):
        profile = base64.b64encode(value.encode()).decode()
        return {"Mode": "custom", "Profile": profile}
    raise ComposeError(
        f"services.{service}.security_opt: seccomp={value} names a file, which the nodes do not "
        "have: write the profile itself, as seccomp={...}, or seccomp=unconfined"
    )


def _selinux(context: Json | None, member: str, *, value: object) -> Json:
    empty: Json = {"Disable": False, "User": "", "Role": "", "Type": "", "Level": ""}
    return {**(context or empty), member: value}
