"""Where a stack's objects differ from those of `docker stack deploy` 28.2.2, and why."""

from __future__ import annotations

_FURTHER = "what Docker's client leaves out of the service is applied"

DIFFERENCES: dict[str, str] = {
    "container-name": "container_name is a name of the service on its networks while it has one task",
    "environment-null": "a variable without a value that is not set is left out with a warning",
    "ignored": _FURTHER,
    "links": "an alias of a link is a name of the linked service on its networks",
    "oom-score": _FURTHER,
    "restart-no": "restart: 'no' means condition none; Docker's client leaves the policy out, and the "
    "cluster then restarts always",
    "restart-on-failure": "on-failure without a number leaves MaxAttempts out; Docker's client says 0, "
    "which means the same",
    "shm-size": _FURTHER,
    "tmpfs-key": _FURTHER,
    "tmpfs-mode": _FURTHER,
}
"""Cases in which we send something else, and why; docs/compatibility.md prints them."""
