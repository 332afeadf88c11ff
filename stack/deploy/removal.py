"""Take a stack away and wait until nothing of it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from stack.deploy.converge import Pace
from stack.deploy.events import ObjectEvent
from stack.deploy.observe import stack_label
from stack.deploy.plan import Remove
from stack.engine.client import EngineClient
from stack.engine.payloads import Named
from stack.errors import EngineError, NotFound, TimedOut

_POLL_S = 0.2
_IDS_A_REQUEST = 100  # keeps the request line short enough for every server


def remove_stack(
    client: EngineClient,
    stack: str,
    *,
    timeout_s: float,
    say: Callable[[str], None],
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> bool:
    """Remove a stack's services, secrets, configs and networks, in this order.

    Returns when nothing of it is left.  Networks go last, when no task uses them any more.

    Args:
        client: the API.
        stack: the stack's name.
        timeout_s: seconds to wait for the tasks to end and again for the networks to be free.
        say: told each object before it is removed.
        pace: clock and sleep.

    Returns:
        Whether there was anything to remove.

    Raises:
        TimedOut: tasks still ran when the time was over.
        EngineError: the API refused a removal.
    """
    filters = {"label": stack_label(stack)}
    services = sorted(client.services(filters), key=lambda found: str(found["Spec"]["Name"]))
    networks = sorted(client.networks(filters), key=lambda found: found["Name"])
    tasks = [task["ID"] for task in client.tasks(filters)]
    for service in services:
        say(f"Removing service {service['Spec']['Name']}")
        _unless_gone(client.remove_service, service["ID"])
    files = _remove_files(client, filters, say)
    _wait_for_tasks(client, tasks, timeout_s, pace)
    for network in networks:
        say(f"Removing network {network['Name']}")
        _remove_network(client, network["Id"], timeout_s, pace)
    return bool(services or networks or files)


def remove_objects(
    client: EngineClient,
    stack: str,
    removals: Collection[Remove],
    *,
    timeout_s: float,
    tell: Callable[[ObjectEvent], None],
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> None:
    """Remove what a file no longer names: services first, networks when their tasks are gone.

    A secret or config that something outside of the stack uses stays. What is gone already is
    waited for like the rest.

    Raises:
        TimedOut: tasks were still there when the time was over.
        EngineError: the API refused a removal.
    """
    services = [one.object_id for one in removals if one.kind == "service"]
    has_networks = any(one.kind == "network" for one in removals)
    tasks: list[str] = []
    if services and has_networks:
        known = client.tasks({"label": stack_label(stack)})
        tasks = [task["ID"] for task in known if task["ServiceID"] in services]
    for one in sorted(removals, key=lambda one: _ORDER.index(one.kind)):
        tell(ObjectEvent(action="remove", kind=one.kind, name=one.name, id=one.object_id))
        match one.kind:
            case "service":
                _unless_gone(client.remove_service, one.object_id)
            case "secret":
                _unless_in_use(client.remove_secret, one.object_id)
            case "config":
                _unless_in_use(client.remove_config, one.object_id)
            case "network":
                _wait_for_tasks(client, tasks, timeout_s, pace)
                _remove_network(client, one.object_id, timeout_s, pace)


_ORDER = ("service", "secret", "config", "network")


def _unless_in_use(remove: Callable[[str], None], identifier: str) -> None:
    try:
        _unless_gone(remove, identifier)
    except EngineError as error:
        if "in use" not in str(error):
            raise


def _remove_files(client: EngineClient, filters: dict[str, str], say: Callable[[str], None]) -> int:
    removed = 0
    for kind, listed, remove in (
        ("secret", client.secrets, client.remove_secret),
        ("config", client.configs, client.remove_config),
    ):
        for name, identifier in _listed(listed, filters):
            say(f"Removing {kind} {name}")
            _unless_gone(remove, identifier)
            removed += 1
    return removed


def _listed(
    ask: Callable[[dict[str, str]], list[Named]], filters: dict[str, str]
) -> list[tuple[str, str]]:
    """Names and IDs; nothing where the server has no such objects yet (404, 501)."""
    try:
        found = ask(filters)
    except EngineError as error:
        if error.status in (404, 501):
            return []
        raise
    return sorted((item["Spec"]["Name"], item["ID"]) for item in found)


def _unless_gone(remove: Callable[[str], None], identifier: str) -> None:
    try:
        remove(identifier)
    except NotFound:
        return


def _wait_for_tasks(client: EngineClient, tasks: list[str], timeout_s: float, pace: Pace) -> None:
    started = pace.now()
    left = tasks
    while left := list(_still_there(client, left)):
        if pace.now() - started > timeout_s:
            raise TimedOut(f"{len(left)} tasks are still there after {timeout_s:g} s")
        pace.sleep(_POLL_S)


def _still_there(client: EngineClient, tasks: list[str]) -> Iterator[str]:
    for start in range(0, len(tasks), _IDS_A_REQUEST):
        for task in client.tasks({"id": tasks[start : start + _IDS_A_REQUEST]}):
            yield task["ID"]


def _remove_network(client: EngineClient, network_id: str, timeout_s: float, pace: Pace) -> None:
    started = pace.now()
    while True:
        try:
            client.remove_network(network_id)
        except NotFound:
            return
        except EngineError as error:
            if "in use" not in str(error) or pace.now() - started > timeout_s:
                raise
        else:
            return
        pace.sleep(_POLL_S)
