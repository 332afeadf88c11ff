"""Following a deployment that managers watch: what is told, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stack.deploy.converge import Pace
from stack.deploy.events import AnyEvent, FailureEvent, WarningEvent
from stack.deploy.rollout import follow_rollout, pending_rollout, rollout_line
from stack.engine.client import EngineClient
from stack.errors import NotConverged, RolledBack, TimedOut, Unschedulable
from tests.unit.stack.engine_server import EngineServer, Failure, serving

FAILED = {"Failure": "failed", "Reason": "shop_web: a task cannot run: no", "Task": "t9"}


class Watching(EngineServer):
    """A server that gives one state of the rollout after the other, and then the last."""

    def __init__(self, *rollouts: dict[str, Any]) -> None:
        super().__init__()
        self._rollouts = list(rollouts)

    def answer(self, method, path, query, body):
        if path.endswith("/stacks/shop"):
            rollout = self._rollouts.pop(0) if len(self._rollouts) > 1 else self._rollouts[0]
            if not rollout:
                raise Failure(404, "stack shop not found")
            return {"Name": "shop", "Rollout": rollout}
        return super().answer(method, path, query, body)


def rollout(state: str, *, former: int = 4, **more: Any) -> dict[str, Any]:
    until = {"Until": "2026-01-01T00:00:09Z"} if state in ("under way", "going back") else {}
    return {"Revision": 5, "Former": former, "State": state, **until, **more}


def follow(tmp_path: Path, *rollouts: dict[str, Any]) -> list[AnyEvent]:
    told: list[AnyEvent] = []
    pace = Pace(now=lambda: 0.0, sleep=lambda _: None)
    with serving(Watching(*rollouts), tmp_path) as host, EngineClient.at(host) as client:
        follow_rollout(client, "shop", 5, (), told.append, pace)
    return told


def test_a_deployment_that_holds_ends_well(tmp_path: Path) -> None:
    assert follow(tmp_path, rollout("under way"), rollout("held")) == []


def test_one_that_went_back_says_why_and_where_to(tmp_path: Path) -> None:
    steps = rollout("under way"), rollout("going back", **FAILED), rollout("back", **FAILED)
    with pytest.raises(RolledBack, match="cannot run: no; all services are back at revision 4"):
        follow(tmp_path, *steps)


def test_the_failure_is_told_once_with_its_consequence(tmp_path: Path) -> None:
    told: list[AnyEvent] = []
    pace = Pace(now=lambda: 0.0, sleep=lambda _: None)
    going = rollout("going back", **FAILED)
    engine = Watching(going, going, rollout("back", **FAILED))
    engine.services["s1"] = {"ID": "s1", "Version": {"Index": 1}, "Spec": {"Name": "shop_web"}}
    engine.tasks.append(
        {"ID": "t9", "ServiceID": "s1", "Slot": 1, "NodeID": "node1", "old": True,
         "Status": {"State": "rejected", "Err": "no"}, "DesiredState": "shutdown"}
    )  # fmt: skip
    with (
        serving(engine, tmp_path) as host,
        EngineClient.at(host) as client,
        pytest.raises(RolledBack),
    ):
        follow_rollout(client, "shop", 5, (), told.append, pace)
    [failure] = [event for event in told if isinstance(event, FailureEvent)]
    assert (failure.task, failure.node, failure.reason) == ("shop_web.1", "alpha", "no")
    [warning] = [event for event in told if isinstance(event, WarningEvent)]
    assert warning.message.endswith("all services go back to revision 4")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [("failed", NotConverged), ("unschedulable", Unschedulable), ("timed out", TimedOut)],
)
def test_a_first_deployment_ends_with_the_code_of_its_failure(
    tmp_path: Path, failure: str, kind: type[NotConverged]
) -> None:
    failed = rollout("back", former=0, **{**FAILED, "Failure": failure})
    with pytest.raises(NotConverged, match="what was made was removed") as caught:
        follow(tmp_path, failed)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (rollout("stuck", **FAILED), "a task cannot run"),
        ({**rollout("under way"), "Revision": 6}, "somebody else deployed stack shop meanwhile"),
        ({}, "somebody removed stack shop meanwhile"),
    ],
)
def test_other_ends_are_failures(tmp_path: Path, last: dict[str, Any], said: str) -> None:
    with pytest.raises(NotConverged, match=said) as caught:
        follow(tmp_path, rollout("under way"), last)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("state", "pending", "line"),
    [
        (rollout("held"), 0, ""),
        ({}, 0, ""),
        (rollout("under way"), 5, "revision 5 is being rolled out, until 2026-01-01T00:00:09Z at most; when it fails all services go back to revision 4"),
        (rollout("under way", former=0), 5, "revision 5 is being rolled out, until 2026-01-01T00:00:09Z at most; when it fails what was made is removed"),
        (rollout("going back", Reason="x"), 5, "revision 5 failed (x): all services go back to revision 4"),
        (rollout("back", Reason="x"), 0, "revision 5 failed (x): all services went back to revision 4"),
        (rollout("back", former=0, Reason="x"), 0, "revision 5 failed (x): what was made was removed"),
        (rollout("stuck", Reason="x"), 0, "revision 5 failed (x)"),
    ],
)  # fmt: skip
def test_a_status_explains_it(
    tmp_path: Path, state: dict[str, Any], pending: int, line: str
) -> None:
    with serving(Watching(state), tmp_path) as host, EngineClient.at(host) as client:
        assert pending_rollout(client, "shop") == pending
        assert rollout_line(client, "shop") == line
