"""The table of routes: a method and a pattern of a path each.

A path that belongs to the cluster but is not in the table answers "page not found", as does a
wrong method; every other path belongs to the local engine.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

from aiohttp import web

from cluster.api.context import ApiContext
from cluster.api.request import ApiRequest

Handler = Callable[[ApiContext, ApiRequest], Awaitable[web.StreamResponse]]

_CLUSTER_PATH = re.compile(
    r"/(?:swarm|stackyard|nodes|services|tasks|secrets|configs|stacks)(?:/|$)"
)


class Route(NamedTuple):
    """A handler and what it is for; ``{id}`` in the pattern stands for one part of a path."""

    method: str
    pattern: str
    handler: Handler


class Match(NamedTuple):
    """A handler found, its route's pattern, and what the named parts of that stand for."""

    handler: Handler
    pattern: str
    parameters: Mapping[str, str]


class RouteTable:
    """All routes of one server."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Compile the patterns; an earlier route goes before a later one."""
        self._routes = [(route, _compiled(route.pattern)) for route in routes]

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes."""
        return tuple(route for route, _ in self._routes)

    def find(self, method: str, path: str) -> Match | None:
        """Return the handler for a path without version, None if there is none."""
        for route, pattern in self._routes:
            if route.method != method:
                continue
            match = pattern.fullmatch(path)
            if match is not None:
                return Match(route.handler, route.pattern, match.groupdict())
        return None


def is_cluster_path(path: str) -> bool:
    """Whether a path without version is the cluster's alone, whatever the engine knows."""
    return _CLUSTER_PATH.match(path) is not None


def reads_cluster(method: str, path: str) -> bool:
    """Whether what answers a request looks at the cluster's state, which must be current then.

    What only writes sees the newest state in its transaction, on the leader.
    """
    if path.startswith("/networks"):
        return True  # which of the two kinds a network is of is looked up first
    return method in ("GET", "HEAD") and is_cluster_path(path)


def _compiled(pattern: str) -> re.Pattern[str]:
    named = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return re.compile(named)
