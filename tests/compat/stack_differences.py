"""Where a stack's objects differ from those of `docker stack deploy` 28.2.2, and why."""

from __future__ import annotations

_INGRESS = "ports in mode ingress are refused: stackd has no routing mesh yet"
_JOBS = "jobs are refused: stackd does not run them yet"
_FILES = "secrets and configs are refused: stackd does not have them yet"
_NOT_YET = "not translated yet"

DIFFERENCES: dict[str, str] = {
    "capabilities": _NOT_YET,
    "capabilities-all": _NOT_YET,
    "capabilities-both": _NOT_YET,
    "configs-file": _FILES,
    "credential-registry": _NOT_YET,
    "credential-spec": _NOT_YET,
    "dns": _NOT_YET,
    "dns-text": _NOT_YET,
    "elastic": _NOT_YET,
    "env-file": _NOT_YET,
    "env-file-list": _NOT_YET,
    "environment-null": "a variable without a value that is not set is left out with a warning",
    "extra-hosts": _NOT_YET,
    "extra-hosts-map": _NOT_YET,
    "isolation": _NOT_YET,
    "job-global": _JOBS,
    "jobs": _JOBS,
    "logging": _NOT_YET,
    "logging-driver-only": _NOT_YET,
    "merge-lists": _NOT_YET,
    "monitoring": _NOT_YET,
    "ports-long": _INGRESS,
    "ports-range": _INGRESS,
    "ports-short": _INGRESS,
    "resources-generic": _NOT_YET,
    "restart-no": "restart: 'no' means condition none; Docker's client leaves the policy out, and the "
    "cluster then restarts always",
    "restart-on-failure": _NOT_YET,
    "secrets-file": _FILES,
    "sysctls": _NOT_YET,
    "sysctls-list": _NOT_YET,
    "tmpfs-mode": "the mode of a tmpfs is applied; Docker's client drops it",
    "ulimits": _NOT_YET,
    "ulimits-one": _NOT_YET,
    "volumes-one-letter": "v:/v is the volume v; Docker's client takes one letter for a drive",
}
"""Cases in which we send something else, and why; docs/compatibility.md prints them."""
