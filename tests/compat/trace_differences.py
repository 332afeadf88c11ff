"""Where recorded commands of Docker Swarm end otherwise here, and why."""

from __future__ import annotations

DIFFERENCES: dict[str, str] = {
    "54f-logs-notail-err": "a wrong tail is a 400, where Docker Swarm 20.10 says 500",
}
"""Commands whose exit code, error or requests differ."""

MEMBERS: dict[str, str] = {
    r"GET /networks.* \.Containers\.lb-": "balancing takes no address of a network on each node",
    r"^(50c|52b|58b|75|80)-.*GET /networks.* \.(Containers|Peers)": (
        "the network's task may be on a node that is not asked, or start a moment later, and removed "
        "ones go sooner"
    ),
    r"\.PreviousSpec": "an equal spec is no new one, so there may be no previous one",
    r"ManagerStatus\.Leader": "the recording is of a leader, the replay asks a follower",
}
"""Members of answers that Docker Swarm's have and ours do not: patterns of command, request, member.

Each pattern must be needed.
"""
