"""What containers print on any host is read through the manager."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.cluster import WORKERS, Cluster, Task, wait_for

LINES = "echo out; echo err >&2; sleep 1000"
COUNTING = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.2; done"


def _create(cluster: Cluster, script: str, *options: str, replicas: int = 3) -> None:
    cluster.docker(
        *("service", "create", "--quiet", "--detach", "--no-resolve-image", "--name", "web"),
        *("--replicas", str(replicas), "--replicas-max-per-node", "1", *options),
        *("stackyard/test:1", "sh", "-c", script),
    )
    cluster.wait_running("web", replicas)


def _logs(cluster: Cluster, *options: str) -> list[str]:
    done = cluster.docker("service", "logs", *options, "web")
    return sorted((done.stdout + done.stderr).splitlines())


@contextmanager
def _following(cluster: Cluster, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    target = f"unix://{cluster.lab.host(1).stackd_socket}"
    command = ["docker", "-H", target, "service", "logs", "--follow", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as p:
        try:
            yield p
        finally:
            p.kill()


def _read_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if wanted in line:
            return lines
    raise AssertionError(f"the log ended without {wanted!r}: {lines}")


def test_lines_of_all_hosts_are_read_at_one_place(cluster: Cluster) -> None:
    _create(cluster, LINES)
    lines = wait_for("all lines", lambda: len(found := _logs(cluster)) == 6 and found)
    for host in (1, 2, 3):
        mine = [line for line in lines if f"@h{host} " in line]
        assert [line.rpartition("| ")[2] for line in mine] == ["err", "out"]
    task = cluster.running_tasks("web")[0]
    alone = cluster.docker("service", "logs", "--raw", task.id)
    assert (alone.stdout, alone.stderr) == ("out\n", "err\n")
    stamped = cluster.docker("service", "logs", "--raw", "--timestamps", task.id).stdout
    moment, _, text = stamped.partition(" ")
    assert (len(moment), moment[-1], text) == (30, "Z", "out\n")


def test_our_own_command_shows_them_too(cluster: Cluster) -> None:
    _create(cluster, LINES)
    wait_for("all lines", lambda: len(_logs(cluster)) == 6)
    done = cluster.stack("service", "logs", "web")
    tasks = [f"web.{task.slot}@{task.node}" for task in cluster.running_tasks("web")]
    assert sorted(done.stdout.splitlines()) == sorted(f"{task} | out" for task in tasks)
    assert sorted(done.stderr.splitlines()) == sorted(f"{task} | err" for task in tasks)


def test_the_tail_counts_for_each_task_and_since_leaves_out_older_lines(cluster: Cluster) -> None:
    _create(cluster, "for n in 1 2 3 4; do echo $n; done; sleep 1000")
    wait_for("all lines", lambda: len(_logs(cluster)) == 12)
    assert [line[-1] for line in _logs(cluster, "--tail", "1")] == ["4", "4", "4"]
    assert _logs(cluster, "--since", "4000000000") == []


def test_a_followed_log_takes_new_tasks_and_survives_the_loss_of_a_node(cluster: Cluster) -> None:
    _create(cluster, COUNTING, "--restart-delay", "0s")
    with _following(cluster, "--tail", "1", "web") as process:
        for host in (1, 2, 3):
            _read_until(process, f"@h{host} ")
        [container] = [c for c in cluster.containers("web") if c.host == 2]
        cluster.docker("kill", container.id, host=2)
        [fresh] = [t for t in _wait_for_three(cluster, container.id) if t.node == "h2"]
        _read_until(process, fresh.id[:12])
        cluster.lab.kill_stackd(3)
        _read_until(process, "node h3 is not available")
        cluster.lab.start_stackd(3)
        _read_until(process, "@h3 ")
        cluster.docker("service", "rm", "web")
        assert process.wait(timeout=60) == 0


def test_an_absent_node_costs_a_line_and_no_time(cluster: Cluster) -> None:
    _create(cluster, LINES)
    wait_for("all lines", lambda: len(_logs(cluster)) == 6)
    cluster.lab.kill_stackd(WORKERS[0])

    def with_warning() -> list[str]:
        found = _logs(cluster)
        return found if any("h2 is not" in line for line in found) else []

    lines = wait_for("the warning", with_warning)
    assert [line.rpartition("| ")[2] for line in lines if "@h2 " in line] == [
        "warning: node h2 is not available: its part of the log is missing"
    ]
    assert len([line for line in lines if "@h1 " in line or "@h3 " in line]) == 4


def test_the_log_of_a_service_whose_node_has_no_power_is_a_warning(cluster: Cluster) -> None:
    """Its connection looks alive until the manager knows better; nothing else ends the log."""
    _create(cluster, LINES, "--constraint", "node.hostname == h2", replicas=1)
    wait_for("both lines", lambda: len(_logs(cluster)) == 2)
    warning = "warning: node h2 is not available: its part of the log is missing"
    with _following(cluster, "web") as process:
        _read_until(process, "out")
        cluster.lab.poweroff(WORKERS[0])
        [line] = _logs(cluster)
        assert line.endswith(f"@h2    | {warning}")
        _read_until(process, warning)
        cluster.wait_for_node(WORKERS[0], "down")
        [line] = _logs(cluster)
        assert line.endswith(warning)
        with _following(cluster, "--tail", "1", "web") as late:
            _read_until(late, warning)


def test_a_terminal_has_a_raw_log(cluster: Cluster) -> None:
    _create(cluster, "echo hello; sleep 1000", "--tty", replicas=1)

    def hello() -> bool:
        return cluster.docker("service", "logs", "--raw", "web").stdout == "hello\n"  # as text

    wait_for("the line", hello)


def test_a_wrong_request_is_refused_before_the_stream(cluster: Cluster) -> None:
    missing = cluster.docker("service", "logs", "nosuch", code=1).stderr
    assert "no such task or service: nosuch" in missing
    _create(cluster, LINES, replicas=1)
    assert "tail value" in cluster.docker("service", "logs", "--tail", "x", "web", code=1).stderr


def _wait_for_three(cluster: Cluster, without: str) -> list[Task]:
    cluster.wait_running("web", 3, without=[without])
    return cluster.running_tasks("web")
