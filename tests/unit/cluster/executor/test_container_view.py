from __future__ import annotations

from typing import Any

import pytest

from cluster.executor.container_view import agrees, ports_of, view_of_inspect


def answer(status: str, **state: Any) -> dict[str, Any]:
    return {"Id": "c1", "State": {"Status": status, **state}, "Config": {"StopSignal": "SIGINT"}}


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("created", "created"),
        ("running", "running"),
        ("paused", "running"),
        ("restarting", "running"),
        ("exited", "ended"),
        ("dead", "ended"),
        ("removing", "ended"),
    ],
)
def test_phases(status: str, phase: str) -> None:
    assert view_of_inspect(answer(status)).phase == phase


def test_a_running_container_shows_pid_health_and_stop_signal() -> None:
    view = view_of_inspect(answer("running", Pid=7, ExitCode=0, Health={"Status": "starting"}))
    assert (view.pid, view.health, view.exit_code, view.stop_signal) == (
        7,
        "starting",
        None,
        "SIGINT",
    )


def test_an_ended_container_shows_code_and_cause() -> None:
    assert view_of_inspect(answer("exited", ExitCode=0)).exit_code == 0
    assert view_of_inspect(answer("exited", ExitCode=137, OOMKilled=True)).cause == "out of memory"
    assert view_of_inspect(answer("exited", ExitCode=127, Error="no exec")).cause == "no exec"


def test_a_created_container_that_failed_to_start_has_no_exit_code() -> None:
    assert view_of_inspect(answer("created", ExitCode=127)).exit_code is None


def test_both_address_families_of_a_port_count_once() -> None:
    ports = ports_of(
        {
            "80/tcp": [
                {"HostIp": "0.0.0.0", "HostPort": "8080"},
                {"HostIp": "::", "HostPort": "8080"},
            ],
            "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}],
            "9/tcp": None,
        }
    )
    assert [(p.protocol, p.target_port, p.published_port) for p in ports] == [
        ("udp", 53, 32768),
        ("tcp", 80, 8080),
    ]


def test_a_running_container_is_always_looked_at_again() -> None:
    ended = view_of_inspect(answer("exited", ExitCode=0))
    assert agrees(ended, {"Id": "c1", "State": "exited"})
    assert not agrees(ended, {"Id": "c2", "State": "exited"})
    runs = view_of_inspect(answer("running"))
    assert not agrees(runs, {"Id": "c1", "State": "running"})
