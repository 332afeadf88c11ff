"""What the engine's answers say of a container."""

from __future__ import annotations

from typing import Any, Literal

from cluster.model.endpoint import PortConfig, Protocol
from cluster.model.spec_struct import ObjectStruct

Phase = Literal["created", "running", "ended", "removed"]
Health = Literal["none", "starting", "healthy", "unhealthy"]

_PHASES: dict[str, Phase] = {
    "created": "created",
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "exited": "ended",
    "dead": "ended",
    "removing": "ended",
}
_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
_HEALTH: dict[str, Health] = {
    "starting": "starting",
    "healthy": "healthy",
    "unhealthy": "unhealthy",
}
OUT_OF_MEMORY = "out of memory"


class View(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A container as last seen; `removed` when somebody took it away.

    `exit_code` is None while it has not ended, and when nobody saw how it did.
    """

    container_id: str
    phase: Phase
    health: Health = "none"
    pid: int = 0
    exit_code: int | None = None
    cause: str = ""
    ports: tuple[PortConfig, ...] = ()
    stop_signal: str = ""  # empty: the engine's default, SIGTERM


def view_of_inspect(answer: dict[str, Any]) -> View:
    """Read ``GET /containers/ID/json``."""
    state = answer["State"]
    phase = _PHASES[state["Status"]]
    health = (state.get("Health") or {}).get("Status", "")
    has_ended = phase == "ended"
    return View(
        container_id=answer["Id"],
        phase=phase,
        health=_HEALTH.get(health, "none"),
        pid=state.get("Pid") or 0,
        exit_code=int(state.get("ExitCode") or 0) if has_ended else None,
        cause=_cause(state) if has_ended else "",
        ports=ports_of(answer.get("NetworkSettings", {}).get("Ports") or {}),
        stop_signal=answer.get("Config", {}).get("StopSignal") or "",
    )


def view_of_listed(entry: dict[str, Any]) -> View:
    """Read an entry of ``GET /containers/json``, which tells little but that it is there."""
    return View(container_id=entry["Id"], phase=_PHASES.get(entry["State"], "created"))


def agrees(view: View, listed: dict[str, Any]) -> bool:
    """Whether an entry of ``GET /containers/json`` shows nothing that `view` does not know."""
    return (
        view.container_id == listed["Id"]
        and view.phase == _PHASES.get(listed["State"])
        and view.phase != "running"
    )


def ports_of(published: dict[str, list[dict[str, str]] | None]) -> tuple[PortConfig, ...]:
    """Read the bound ports; an IPv4 and an IPv6 binding of the same port count once."""
    found = set()
    for key, bindings in published.items():
        port, _, protocol = key.partition("/")
        for binding in bindings or ():
            found.add((int(port), _PROTOCOLS[protocol or "tcp"], int(binding["HostPort"])))
    return tuple(
        PortConfig(
            protocol=protocol, target_port=target, published_port=host_port, publish_mode="host"
        )
        for target, protocol, host_port in sorted(found)
    )


def _cause(state: dict[str, Any]) -> str:
    if state.get("OOMKilled"):
        return OUT_OF_MEMORY
    return str(state.get("Error") or "")
