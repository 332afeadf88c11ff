"""Rolling updates, failures and rollbacks by the stock client, on three hosts."""

from __future__ import annotations

import signal
import subprocess
from datetime import datetime, timedelta

from tests.e2e.conftest import Measure
from tests.support.cluster import MANAGER, Cluster, wait_for

IMAGE = "stackyard/test:1"
CRASH = ("sh", "-c", "sleep 0.2; exit 3")
PROMPT = ("--stop-grace-period", "2s", "--restart-delay", "1s", "--no-resolve-image")


def create(cluster: Cluster, *options: str, replicas: int = 4) -> set[str]:
    """Create the service "web"; the IDs of its containers."""
    cluster.docker(
        "service", "create", "--detach", "--name", "web", "--replicas", str(replicas),
        *PROMPT, *options, IMAGE,
    )  # fmt: skip
    return {container.id for container in cluster.wait_running("web", replicas)}


def update(
    cluster: Cluster, *options: str, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    return cluster.docker("service", "update", *options, "web", code=code)


def status(cluster: Cluster) -> tuple[str, str]:
    """State and message of the last update."""
    shown = cluster.service("web").get("UpdateStatus") or {}
    return shown.get("State", ""), shown.get("Message", "").split(" of task ")[0]


def started(cluster: Cluster, containers: set[str]) -> list[datetime]:
    moments = [
        cluster.inspect(c)["State"]["StartedAt"]
        for c in cluster.containers("web")
        if c.id in containers
    ]
    return sorted(datetime.fromisoformat(moment[:26]) for moment in moments)


def test_two_at_a_time_with_a_delay_between(cluster: Cluster, measure: Measure) -> None:
    """The classic: redis from 3.0.6 to 3.0.7, two at a time, here with a shorter delay."""
    options = ("--update-parallelism", "2", "--update-delay", "3s", "--update-monitor", "1s")
    old = create(cluster, *options, replicas=6)
    with measure("docker service update of 6 replicas, 2 at a time, 3 s between"):
        update(cluster, "--env-add", "EDITION=2")
    new = {c.id for c in cluster.wait_running("web", 6, without=old)}
    moments = started(cluster, new)
    # three pairs: a slot is begun once one of the pair before has run for the delay
    assert moments[2] - moments[0] >= timedelta(seconds=3)
    assert moments[4] - moments[2] >= timedelta(seconds=3)
    wait_for("the end of the update", lambda: status(cluster) == ("completed", "update completed"))


def test_an_update_that_fails_is_paused_and_can_be_rolled_back(cluster: Cluster) -> None:
    old = create(cluster)
    said = update(cluster, "--args", " ".join(CRASH[2:]), "--entrypoint", "sh -c", code=1)
    assert "update paused due to failure or early termination of task" in said.stdout + said.stderr
    assert status(cluster) == ("paused", "update paused due to failure or early termination")
    cluster.docker("service", "rollback", "web")
    now = {c.id for c in cluster.wait_running("web", 4)}
    assert len(now & old) >= 2, "one at a time: one failed, and perhaps one was begun"
    assert status(cluster) == ("rollback_completed", "rollback completed")
    assert "Command" not in cluster.service("web")["Spec"]["TaskTemplate"]["ContainerSpec"]
    # and forward again: a second rollback swaps the specs back, which fails again
    cluster.docker("service", "rollback", "web", code=1)
    assert status(cluster)[0] == "rollback_paused"
    # told to go on, it tries again
    update(cluster, code=1)
    assert status(cluster) == ("paused", "update paused due to failure or early termination")


def test_an_update_that_fails_rolls_itself_back(cluster: Cluster, measure: Measure) -> None:
    options = ("--update-failure-action", "rollback", "--update-monitor", "2s")
    old = create(cluster, *options, "--rollback-monitor", "1s", "--rollback-parallelism", "0")
    with measure("a failing update of 4 replicas until it is rolled back"):
        said = update(cluster, "--args", " ".join(CRASH[2:]), "--entrypoint", "sh -c", code=None)
    assert "rolled back due to failure or early termination" in said.stdout + said.stderr
    wait_for(
        "the rollback", lambda: status(cluster) == ("rollback_completed", "rollback completed")
    )
    now = {c.id for c in cluster.wait_running("web", 4)}
    assert len(now & old) >= 2
    service = cluster.service("web")
    assert "Command" not in service["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert "PreviousSpec" not in service


def test_an_image_that_cannot_be_had_costs_nothing_and_is_rolled_back(cluster: Cluster) -> None:
    old = create(cluster, "--update-failure-action", "rollback")
    update(cluster, "--detach", "--no-resolve-image", "--image", "nowhere/missing:1")
    wait_for(
        "the rollback", lambda: status(cluster) == ("rollback_completed", "rollback completed")
    )
    assert {c.id for c in cluster.wait_running("web", 4)} == old


def test_failures_within_the_ratio_are_forgiven(cluster: Cluster) -> None:
    create(cluster, "--update-max-failure-ratio", "1", "--update-monitor", "1s", replicas=2)
    update(cluster, "--detach", "--args", " ".join(CRASH[2:]), "--entrypoint", "sh -c")
    wait_for("the end of the update", lambda: status(cluster)[0] == "completed")


def test_a_leader_that_is_killed_in_the_middle_goes_on_where_it_was(cluster: Cluster) -> None:
    old = create(cluster, "--update-delay", "2s", "--update-monitor", "1s", replicas=3)
    update(cluster, "--detach", "--env-add", "EDITION=2")
    wait_for("the first new task", lambda: cluster.container_ids("web") - old)
    cluster.lab.kill_stackd(MANAGER, signal.SIGKILL)
    cluster.lab.start_stackd(MANAGER)
    cluster.wait_running("web", 3, without=old)
    wait_for("the end of the update", lambda: status(cluster) == ("completed", "update completed"))


def test_the_stock_client_hears_of_an_update(cluster: Cluster) -> None:
    create(cluster, "--update-monitor", "1s", replicas=1)
    update(cluster, "--env-add", "EDITION=2")
    now = cluster.docker("info", "--format", "{{.SystemTime}}").stdout.strip()
    heard = cluster.docker(
        "events", "--filter", "type=service", "--since", "0", "--until", now,
        "--format", "{{.Action}} {{json .Actor.Attributes}}",
    ).stdout  # fmt: skip
    assert 'create {"name":"web"}' in heard
    assert '"updatestate.new":"updating"' in heard
    assert '"updatestate.new":"completed","updatestate.old":"updating"' in heard
