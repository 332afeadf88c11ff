"""How tasks are replaced: restart policy, update and rollback settings."""

from __future__ import annotations

from stack.compose.types import RestartPolicy, UpdateConfig
from stack.engine.payloads import Json


def restart_policy(policy: RestartPolicy) -> Json:
    """``TaskTemplate.RestartPolicy``; what the file does not say is the cluster's to choose."""
    payload: Json = {}
    if policy.condition:
        payload["Condition"] = policy.condition
    if policy.delay_ns is not None:
        payload["Delay"] = policy.delay_ns
    if policy.max_attempts is not None:
        payload["MaxAttempts"] = policy.max_attempts
    if policy.window_ns is not None:
        payload["Window"] = policy.window_ns
    return payload


def update_config(config: UpdateConfig) -> Json:
    """``UpdateConfig`` or ``RollbackConfig``."""
    payload: Json = {"Parallelism": config.parallelism}
    if config.delay_ns:
        payload["Delay"] = config.delay_ns
    if config.failure_action:
        payload["FailureAction"] = config.failure_action
    if config.monitor_ns:
        payload["Monitor"] = config.monitor_ns
    payload["MaxFailureRatio"] = config.max_failure_ratio
    payload["Order"] = config.order
    return payload
