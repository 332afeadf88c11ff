"""Policies of restart and update."""

from __future__ import annotations

from typing import Literal

from cluster.model.spec_struct import SpecStruct, always
from cluster.model.units import SECOND_NS, DurationNs, Uint64

RestartCondition = Literal["none", "on-failure", "any"]
UpdateOrder = Literal["stop-first", "start-first"]
FailureAction = Literal["pause", "continue", "rollback"]

DEFAULT_RESTART_DELAY_NS = 5 * SECOND_NS
DEFAULT_MONITOR_NS = 5 * SECOND_NS
DEFAULT_STOP_GRACE_PERIOD_NS = 10 * SECOND_NS


class RestartPolicy(SpecStruct, frozen=True, kw_only=True, gc=False):
    """When an ended task is replaced.

    Absent members mean: any condition, 5 s delay, no limit of attempts, no window.
    """

    condition: RestartCondition | Literal[""] = ""
    delay: DurationNs | None = None
    max_attempts: Uint64 | None = None
    window: DurationNs | None = None


class UpdateConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """How tasks are replaced when the spec changes; `parallelism` 0 means all at once."""

    parallelism: Uint64 = always(1)
    delay: DurationNs = 0
    failure_action: FailureAction | Literal[""] = ""
    monitor: DurationNs = 0
    max_failure_ratio: float = always(0.0)
    order: UpdateOrder | Literal[""] = ""
