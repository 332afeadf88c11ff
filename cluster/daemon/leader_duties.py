"""What only a leader does: reconcilers, the watch over the nodes, their logs and roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cluster.allocator.allocate import Allocator
from cluster.api.commands.rollouts import Rollouts
from cluster.ca.root_rotation import RootRotations
from cluster.clock import Clock
from cluster.control.controller import Controller
from cluster.control.leadership import Duty
from cluster.control.role_manager import RoleManager
from cluster.dispatcher.log_broker import LogBroker
from cluster.dispatcher.service import Dispatcher
from cluster.model.ids import NewId
from cluster.orchestrator.global_services import GlobalServices
from cluster.orchestrator.jobs import Jobs
from cluster.orchestrator.misplaced_tasks import MisplacedTasks
from cluster.orchestrator.replicated_services import ReplicatedServices
from cluster.orchestrator.task_reaper import TaskReaper
from cluster.scheduler.rebalancer import Rebalancer
from cluster.scheduler.schedule import Scheduler
from cluster.store.interface import ClusterStore


def leader_duties(
    store: ClusterStore,
    dispatcher: Dispatcher,
    logs: LogBroker,
    roles: RoleManager,
    clock: Clock,
    new_id: NewId,
) -> Callable[[], Sequence[Duty]]:
    """Return a function that makes the duties of one term."""

    def duties() -> Sequence[Duty]:
        # in the order of the flow: services to tasks, tasks to nodes, ended tasks to nothing
        reconcilers = (
            ReplicatedServices(),
            GlobalServices(),
            Jobs(),
            MisplacedTasks(),
            Allocator(),
            Scheduler(),
            Rebalancer(),
            Rollouts(),
            TaskReaper(),
            RootRotations(),
        )
        controller = Controller(store, reconcilers, clock, new_id)
        return (controller.run, dispatcher.run, logs.run, roles.run)

    return duties
