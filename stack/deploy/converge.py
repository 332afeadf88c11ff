"""Wait until a stack runs as asked, or it is clear that it will not."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection

import msgspec

from stack.deploy.events import ServiceEvent
from stack.deploy.observe import stack_label
from stack.deploy.progress import (
    ENDED,
    UNDER_WAY,
    WAITS_FOR,
    Progress,
    progress_of,
    update_id,
)
from stack.engine.client import EngineClient, Filters
from stack.engine.payloads import Service, Task
from stack.errors import (
    EngineUnreachable,
    FailedTask,
    NotConverged,
    RolledBack,
    TimedOut,
    Unavailable,
    Unschedulable,
)

_POLL_S = 0.2
_UNPLACED_S = 10.0  # how long "no suitable node" may last before it counts as final
_STEADY_AFTER_FAILURE_S = 5.0  # how long tasks must run once one of them has failed
_MOST_CRASHES = 3  # of one slot; a service that crashes as often is not waited for
_NO_NODE = "no suitable node"


class Pace(msgspec.Struct, frozen=True):
    """The clock of the waiting; tests give a virtual one."""

    now: Callable[[], float] = time.monotonic  # seconds
    sleep: Callable[[float], None] = time.sleep


class Scope(msgspec.Struct, frozen=True):
    """The filters that find the services in question, and their tasks."""

    services: Filters
    tasks: Filters


def already_over(client: EngineClient, stack: str) -> frozenset[str]:
    """Tasks of the stack and updates of its services that are over, and so say nothing later.

    Returns:
        IDs of tasks, and of updates as `update_id` makes them.
    """
    return _over(client, _of_stack(stack))


def over_of(client: EngineClient, service_ids: Collection[str]) -> frozenset[str]:
    """As `already_over`, for some services whether of a stack or not."""
    return _over(client, _of_services(service_ids))


def _over(client: EngineClient, scope: Scope) -> frozenset[str]:
    tasks = client.tasks(scope.tasks)
    ended = [t["ID"] for t in tasks if t.get("Status", {}).get("State", "") in ENDED]
    settled = (one for one in client.services(scope.services) if not _is_updating(one))
    return frozenset((*ended, *map(update_id, settled)))


def _is_updating(service: Service) -> bool:
    return (service.get("UpdateStatus") or {}).get("State", "") in UNDER_WAY


def converge(
    client: EngineClient,
    stack: str,
    service_ids: Collection[str],
    seen: Collection[str],
    *,
    timeout_s: float,
    stable_s: float,
    tell: Callable[[ServiceEvent], None],
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> None:
    """Poll until every service runs all its tasks of the present spec, and no update is watched.

    Args:
        client: the API.
        stack: the stack's name.
        service_ids: the services to wait for.
        seen: what was over before; see `already_over`.
        timeout_s: seconds until giving up.
        stable_s: seconds that all must run before it counts; more once a task has failed.
        tell: told whenever a service's progress changes.
        pace: clock and sleep.

    Raises:
        NotConverged: a task was rejected, failed again and again, or an update was paused.
        RolledBack: the cluster took an update back; this is said once it has.
        Unschedulable: a task found no node for some seconds.
        TimedOut: the time is over.
    """
    scope = _of_stack(stack)
    _converge(client, scope, service_ids, seen, _Watch(tell, stable_s), timeout_s, pace)


def converge_services(
    client: EngineClient,
    service_ids: Collection[str],
    seen: Collection[str],
    *,
    timeout_s: float,
    stable_s: float,
    tell: Callable[[ServiceEvent], None],
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> None:
    """As `converge`, for some services whether of a stack or not."""
    scope = _of_services(service_ids)
    _converge(client, scope, service_ids, seen, _Watch(tell, stable_s), timeout_s, pace)


def _converge(
    client: EngineClient,
    scope: Scope,
    service_ids: Collection[str],
    seen: Collection[str],
    watch: _Watch,
    timeout_s: float,
    pace: Pace,
) -> None:
    started = pace.now()
    while True:
        try:
            services = _look(client, scope, service_ids, seen)
        except (EngineUnreachable, Unavailable):
            if pace.now() - started > timeout_s:
                raise
            services = None  # a manager restarts or a new leader is elected: look again
        now = pace.now()
        if services is not None and watch.judge(services, now):
            return
        if now - started > timeout_s:
            raise watch.timed_out(f"not running after {timeout_s:g} s")
        pace.sleep(_POLL_S)


def _of_stack(stack: str) -> Scope:
    label = {"label": stack_label(stack)}
    return Scope(services=label, tasks=label)


def _of_services(service_ids: Collection[str]) -> Scope:
    ids = [*service_ids]
    return Scope(services={"id": ids}, tasks={"service": ids})


def look(
    client: EngineClient, stack: str, service_ids: Collection[str], seen: Collection[str]
) -> list[Progress]:
    """How far services of a stack are now, by name; `seen` as with `converge`.

    Raises:
        NotConverged: one of them is not there.
    """
    return _look(client, _of_stack(stack), service_ids, seen)


def look_at_all(client: EngineClient, stack: str, seen: Collection[str]) -> list[Progress]:
    """How far all services of a stack are now, by name."""
    return _look(client, _of_stack(stack), None, seen)


def _look(
    client: EngineClient, scope: Scope, service_ids: Collection[str] | None, seen: Collection[str]
) -> list[Progress]:
    current = _by_service(client.tasks({**scope.tasks, "_up-to-date": "true"}))
    everything = _by_service(client.tasks(scope.tasks))
    services = client.services(scope.services, status=True)
    services.sort(key=lambda service: str(service["Spec"]["Name"]))
    known = {service["ID"] for service in services}
    wanted = known if service_ids is None else set(service_ids)
    gone = wanted - known
    if gone:
        raise NotConverged(f"somebody removed services meanwhile: {', '.join(sorted(gone))}")
    return [
        progress_of(service, current[service["ID"]], everything[service["ID"]], seen)
        for service in services
        if service["ID"] in wanted
    ]


def _by_service(tasks: list[Task]) -> defaultdict[str, list[Task]]:
    grouped: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        grouped[task.get("ServiceID", "")].append(task)
    return grouped


class _Watch:
    """Remembers between two looks what only time can tell."""

    def __init__(self, tell: Callable[[ServiceEvent], None], stable_s: float) -> None:
        self._tell = tell
        self._stable_s = stable_s
        self._told: dict[str, ServiceEvent] = {}
        self._unplaced_since: dict[str, float] = {}
        self._failures: dict[str, frozenset[str]] = {}
        self._steady_since: float | None = None
        self._last: list[Progress] = []

    def judge(self, services: list[Progress], now: float) -> bool:
        """Whether all is well; raises when it cannot become so."""
        self._last = services
        for service in services:
            event = service.event
            if self._told.get(service.name) != event:
                self._told[service.name] = event
                self._tell(event)
        if all(service.is_done for service in services):
            return self._is_steady(services, now)
        self._steady_since = None
        for service in services:
            if not service.is_done:
                self._give_up_when_hopeless(service, now)
        return False

    def timed_out(self, headline: str) -> NotConverged:
        """The services that are not as they should be, with reasons.

        One that did not find a node all the while is unschedulable, however short that was.
        """
        left = [service for service in self._last if not service.is_done]
        lines = [service.stopped or service.line for service in left]
        failed = tuple(one for service in left for one in service.culprits[-1:])
        kind = Unschedulable if left and all(map(_is_unplaced, left)) else TimedOut
        return kind("; ".join([headline, *lines]), failed)

    def _is_steady(self, services: list[Progress], now: float) -> bool:
        failures = {service.name: service.failed for service in services}
        if self._steady_since is None or failures != self._failures:
            self._steady_since, self._failures = now, failures
        lasting = max(self._stable_s, _STEADY_AFTER_FAILURE_S if any(failures.values()) else 0)
        return now - self._steady_since >= lasting

    def _give_up_when_hopeless(self, service: Progress, now: float) -> None:
        name, failed = service.name, service.culprits[-1:]
        if service.update == "rollback_completed":
            raise RolledBack(f"{name}: {_with_reason(service.stopped, failed)}", failed)
        if service.stopped and service.update != "rollback_started":
            raise NotConverged(f"{name}: {_with_reason(service.stopped, failed)}", failed)
        if not service.is_judged_by_cluster:
            if service.rejected:
                raise NotConverged(f"{name}: a task cannot run: {service.rejected[0]}", failed)
            if service.crashes >= _MOST_CRASHES:
                reasons = [f"a task failed {service.crashes} times", *service.failures[-1:]]
                raise NotConverged(f"{name}: {': '.join(reasons)}", failed)
        if not _is_unplaced(service):
            self._unplaced_since.pop(name, None)
            return
        since = self._unplaced_since.setdefault(name, now)
        if now - since > _UNPLACED_S:
            reason = _unplaced_reason(service) or "no node fits its placement"
            raise Unschedulable(f"{name}: {reason}", failed)


def _is_unplaced(service: Progress) -> bool:
    is_held_back = any(reason.startswith(WAITS_FOR) for reason in service.waiting)
    return not is_held_back and (service.wanted is None or bool(_unplaced_reason(service)))


def _unplaced_reason(service: Progress) -> str:
    return next((reason for reason in service.waiting if _NO_NODE in reason), "")


def _with_reason(text: str, failed: tuple[FailedTask, ...]) -> str:
    reasons = [task.reason for task in failed if task.reason and task.reason not in text]
    return ": ".join([text, *reasons])
