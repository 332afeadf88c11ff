"""Wait until a stack runs as asked, or it is clear that it will not."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection

import msgspec

from stack.deploy.observe import stack_label
from stack.deploy.progress import ENDED, Progress, progress_of, update_id
from stack.engine.client import EngineClient
from stack.engine.payloads import Task
from stack.errors import EngineUnreachable, NotConverged, Unavailable

_POLL_S = 0.2
_UNPLACED_S = 10.0  # how long "no suitable node" may last before it counts as final
_STEADY_AFTER_FAILURE_S = 5.0  # how long tasks must run once one of them has failed
_MOST_CRASHES = 3  # of one slot; a service that crashes as often is not waited for
_NO_NODE = "no suitable node"


class Pace(msgspec.Struct, frozen=True):
    """The clock of the waiting; tests give a virtual one."""

    now: Callable[[], float] = time.monotonic  # seconds
    sleep: Callable[[float], None] = time.sleep


def already_over(client: EngineClient, stack: str) -> frozenset[str]:
    """Tasks of the stack and updates of its services that are over, and so say nothing later.

    Returns:
        IDs of tasks, and of updates as `update_id` makes them.
    """
    label = {"label": stack_label(stack)}
    ended = [t["ID"] for t in client.tasks(label) if t.get("Status", {}).get("State", "") in ENDED]
    return frozenset((*ended, *map(update_id, client.services(label))))


def converge(
    client: EngineClient,
    stack: str,
    service_ids: Collection[str],
    seen: Collection[str],
    *,
    timeout_s: float,
    stable_s: float,
    say: Callable[[str], None],
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> None:
    """Poll until every service runs all its tasks of the present spec.

    Args:
        client: the API.
        stack: the stack's name.
        service_ids: the services to wait for.
        seen: what was over before; see `already_over`.
        timeout_s: seconds until giving up.
        stable_s: seconds that all must run before it counts; more once a task has failed.
        say: told a line whenever a service's progress changes.
        pace: clock and sleep.

    Raises:
        NotConverged: the time is over, or a task was rejected, failed again and again, found no
            node for some seconds, or an update was stopped; the message holds the reasons.
    """
    watch = _Watch(say, stable_s)
    started = pace.now()
    while True:
        try:
            services = _look(client, stack, service_ids, seen)
        except (EngineUnreachable, Unavailable):
            if pace.now() - started > timeout_s:
                raise
            services = None  # a manager restarts or a new leader is elected: look again
        now = pace.now()
        if services is not None and watch.judge(services, now):
            return
        if now - started > timeout_s:
            raise NotConverged(watch.summary(f"not running after {timeout_s:g} s"))
        pace.sleep(_POLL_S)


def _look(
    client: EngineClient, stack: str, service_ids: Collection[str], seen: Collection[str]
) -> list[Progress]:
    label = stack_label(stack)
    current = _by_service(client.tasks({"label": label, "_up-to-date": "true"}))
    everything = _by_service(client.tasks({"label": label}))
    services = client.services({"label": label}, status=True)
    wanted = set(service_ids)
    return [
        progress_of(service, current[service["ID"]], everything[service["ID"]], seen)
        for service in sorted(services, key=lambda service: str(service["Spec"]["Name"]))
        if service["ID"] in wanted
    ]


def _by_service(tasks: list[Task]) -> defaultdict[str, list[Task]]:
    grouped: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        grouped[task.get("ServiceID", "")].append(task)
    return grouped


class _Watch:
    """Remembers between two looks what only time can tell."""

    def __init__(self, say: Callable[[str], None], stable_s: float) -> None:
        self._say = say
        self._stable_s = stable_s
        self._lines: dict[str, str] = {}
        self._unplaced_since: dict[str, float] = {}
        self._failures: dict[str, frozenset[str]] = {}
        self._steady_since: float | None = None
        self._last: list[Progress] = []

    def judge(self, services: list[Progress], now: float) -> bool:
        """Whether all is well; raises when it cannot become so."""
        self._last = services
        for service in services:
            if self._lines.get(service.name) != service.line:
                self._lines[service.name] = service.line
                self._say(service.line)
        if all(service.is_done for service in services):
            return self._is_steady(services, now)
        self._steady_since = None
        for service in services:
            if service.is_done:
                continue
            self._give_up_when_hopeless(service, now)
        return False

    def summary(self, headline: str) -> str:
        """The services that are not as they should be, with reasons."""
        lines = [service.stopped or service.line for service in self._last if not service.is_done]
        return "; ".join([headline, *lines])

    def _is_steady(self, services: list[Progress], now: float) -> bool:
        failures = {service.name: service.failed for service in services}
        if self._steady_since is None or failures != self._failures:
            self._steady_since, self._failures = now, failures
        lasting = max(self._stable_s, _STEADY_AFTER_FAILURE_S if any(failures.values()) else 0)
        return now - self._steady_since >= lasting

    def _give_up_when_hopeless(self, service: Progress, now: float) -> None:
        if service.stopped:
            reasons = [service.stopped, *service.failures[:1]]
            raise NotConverged(f"{service.name}: {': '.join(reasons)}")
        if service.rejected:
            raise NotConverged(f"{service.name}: a task cannot run: {service.rejected[0]}")
        if service.crashes >= _MOST_CRASHES:
            reasons = [f"a task failed {service.crashes} times", *service.failures[-1:]]
            raise NotConverged(f"{service.name}: {': '.join(reasons)}")
        unplaced = next((reason for reason in service.waiting if _NO_NODE in reason), "")
        nowhere = service.wanted is None
        if not unplaced and not nowhere:
            self._unplaced_since.pop(service.name, None)
            return
        since = self._unplaced_since.setdefault(service.name, now)
        if now - since > _UNPLACED_S:
            raise NotConverged(f"{service.name}: {unplaced or 'no node fits its placement'}")
