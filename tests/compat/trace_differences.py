"""Where recorded commands of Docker Swarm end otherwise here, and why."""

from __future__ import annotations

_NO_OVERLAY = "tasks and containers are not joined to cluster networks yet"

DIFFERENCES: dict[str, str] = {
    "33-net-prune": "networks are pruned by the leader only",
    "34-net-connect": _NO_OVERLAY,
    "54f-logs-notail-err": "a wrong tail is a 400, where Docker Swarm 20.10 says 500",
    "72-container-proxied": _NO_OVERLAY,
}
"""Commands whose exit code, error or requests differ."""

MEMBERS: dict[str, str] = {
    r"GET /networks.* (\[\])?\.(Containers|Peers|Options|IPAM\.Config)": _NO_OVERLAY,
    r"\.NetworksAttachments": _NO_OVERLAY,
    r"\.Endpoint\.VirtualIPs": "there are no virtual addresses yet",
    r"\.PreviousSpec": "an equal spec is no new one, so there may be no previous one",
    r"ManagerStatus\.Leader": "the recording is of a leader, the replay asks a follower",
}
"""Members of answers that Docker Swarm's have and ours do not: patterns of request and member."""
