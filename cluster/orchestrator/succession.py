"""How the tasks of one slot follow each other.

A slot has an *heir*, its one good task, and perhaps *elders*: tasks that still serve but must
go, because their spec is outdated, their node is drained or tasks are spread anew.  Whatever
makes a new task necessary (an end, the loss of a node, a drain, an update), it comes to be in the
same way:

    no task, or one that ended      the heir is made; it prepares itself (desired READY) while
                                    the restart delay passes, and is then desired RUNNING
    an elder, order stop-first      the heir is made desired READY; once it is prepared the elder
                                    is shut down, and once that has ended the heir may run
    an elder, order start-first     the heir is made desired RUNNING; once it runs the elder is
                                    shut down

So an image that cannot be had never costs a running task.  An elder on a drained node does not
wait for an heir that failed or finds no place, as the node is to be emptied.

A task that is lost with its node is shut down and replaced at once.  Whether an outdated task
that runs may be replaced now is for `rolling_update` to say.
"""

from __future__ import annotations

from cluster.model.ids import NewId
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS, Timestamp, after
from cluster.model.update_policy import DEFAULT_STOP_GRACE_PERIOD_NS
from cluster.orchestrator.new_task import new_task
from cluster.orchestrator.outdated import OutdatedCheck
from cluster.orchestrator.restart import (
    AT_ONCE,
    Terms,
    ended_by_itself,
    terms_after_end,
    terms_after_loss,
)
from cluster.orchestrator.slots import Slot
from cluster.orchestrator.update_outcome import policy_in_force
from cluster.store.state import ClusterState

STOP_PATIENCE_NS = 60 * SECOND_NS
"""So long after its grace period a task that does not end keeps its heir waiting no longer."""


class Succession:
    """Tends the slots of one service; `wakes` collects when to look again."""

    def __init__(
        self, state: ClusterState, service: Service, now: Timestamp, new_id: NewId
    ) -> None:
        """Tend the slots of `service` as of `now`."""
        self.wakes: list[Timestamp] = []
        self.is_outdated = OutdatedCheck(state, service)
        self._state = state
        self._service = service
        self._now = now
        self._new_id = new_id
        self._is_start_first = policy_in_force(service).order == "start-first"
        # what a good task is meant to do: to run, or to run to its end
        self._goal = TaskState.COMPLETE if service.spec.is_job else TaskState.RUNNING

    def settle(self, slot: Slot, *, may_create: bool = True) -> None:
        """Do for a slot all that needs no leave of the rolling update.

        Args:
            slot: changed in place.
            may_create: False while the slot's node takes no new tasks.
        """
        if self._is_settled(slot):
            return
        self._let_go(slot)
        heir = self.heir(slot)
        if heir is not None:
            self._hand_over(slot, heir)
        elif may_create and not self.waits_for_leave(slot):
            self._succeed(slot)

    def replace_outdated(self, slot: Slot) -> None:
        """Make the heir of an outdated task that runs."""
        self._create(slot, AT_ONCE)

    def heir(self, slot: Slot) -> Task | None:
        """Return the slot's good task: neither outdated, nor lost, nor to leave its node."""
        good = [t for t in slot.active if not self.is_stale(t) and not self.is_lost(t)]
        if not good:
            return None
        return next((t for t in good if t.status.state is TaskState.RUNNING), good[-1])

    def is_all_outdated(self, slot: Slot) -> bool:
        """Whether nothing that the spec now says has been made or kept in the slot."""
        latest = slot.latest
        return latest is not None and self.is_outdated(latest) and self.heir(slot) is None

    def waits_for_leave(self, slot: Slot) -> bool:
        """Whether an outdated task serves here, and its replacement has not begun."""
        return self.is_all_outdated(slot) and any(
            t.status.state is TaskState.RUNNING and not self.is_on_leave(t) for t in slot.active
        )

    def is_given_up(self, slot: Slot) -> bool:
        """Whether nothing lives in the slot, and its restart policy allows no further attempt."""
        return not slot.active and self._terms(slot.latest, slot) is None

    def is_stale(self, task: Task) -> bool:
        """Whether another task should stand in the task's place."""
        return task.is_moving or self.is_outdated(task) or self.is_on_leave(task)

    def is_on_leave(self, task: Task) -> bool:
        """Whether the task's node is to be emptied."""
        node = self._state.node(task.node_id) if task.node_id else None
        return node is not None and node.spec.availability == "drain"

    def is_lost(self, task: Task) -> bool:
        """Whether nothing can be known of the task, as its node is down or no member any more."""
        if not task.node_id:
            return False
        node = self._state.node(task.node_id)
        return node is None or node.status.state == "down"

    # -- the steps ---------------------------------------------------------------------------

    def _is_settled(self, slot: Slot) -> bool:
        """Whether just one good task runs and is wanted to: by far the most frequent case."""
        wanted = [t for t in slot.tasks if t.is_wanted]
        return (
            len(wanted) == 1
            and wanted[0].desired_state is self._goal
            and wanted[0].status.state is TaskState.RUNNING
            and not self.is_lost(wanted[0])
            and not self.is_stale(wanted[0])
        )

    def _let_go(self, slot: Slot) -> None:
        """Shut down what has ended or is lost, and what is stale and serves nobody."""
        for task in tuple(slot.tasks):
            if task.is_wanted and (task.status.state.is_terminal or self.is_lost(task)):
                slot.want(task, TaskState.SHUTDOWN, self._now)
        for task in slot.active:
            if task.status.state is not TaskState.RUNNING and self.is_stale(task):
                slot.want(task, TaskState.SHUTDOWN, self._now)

    def _succeed(self, slot: Slot) -> None:
        """Make the heir of a slot that has none."""
        latest = slot.before[-1] if slot.before else None
        terms = self._terms(latest, slot)
        for elder in slot.active:
            is_deserted = terms is None or (latest is not None and latest.id != elder.id)
            if self.is_on_leave(elder) and is_deserted:
                slot.want(elder, TaskState.SHUTDOWN, self._now)
        if terms is None:
            return
        if latest is not None and self._ended_before_its_start(latest):
            # at once would be a loop of attempts to prepare, for example to pull an image
            self.wakes.append(latest.start_after)
        else:
            self._create(slot, terms)

    def _ended_before_its_start(self, task: Task) -> bool:
        # one that was shut down did not fail, and looks the same once it is not wanted any more
        return (
            task.start_after > self._now
            and task.status.state is not TaskState.SHUTDOWN
            and ended_by_itself(task)
            and not self.is_outdated(task)
        )

    def _terms(self, latest: Task | None, slot: Slot) -> Terms | None:
        """Return the conditions under which a task may follow the latest, None for never."""
        if latest is None or self.is_outdated(latest):
            return AT_ONCE
        if ended_by_itself(latest):
            return terms_after_end(latest, slot.before, self._now)
        terms = terms_after_loss(latest, self._now)
        if terms is None and self._was_taken_back(latest):
            return AT_ONCE
        return terms

    def _was_taken_back(self, task: Task) -> bool:
        """Whether a change of the spec ended the task before its time, and another wants it again.

        A one-shot is not started anew after a loss, but this is no loss: it is asked for again.
        """
        is_of_before = task.spec_version != self._service.spec_version
        return is_of_before and task.status.state is TaskState.SHUTDOWN

    def _create(self, slot: Slot, terms: Terms) -> None:
        waits = terms.start_after > self._now
        may_run = not waits and (self._is_start_first or self._others_have_ended(slot, None))
        slot.add(
            new_task(
                self._service,
                slot.key,
                self._new_id(),
                desired_state=self._goal if may_run else TaskState.READY,
                start_after=terms.start_after if waits else Timestamp(0),
                restarts=terms.restarts,
                now=self._now,
            )
        )
        if waits:
            self.wakes.append(terms.start_after)

    def _hand_over(self, slot: Slot, heir: Task) -> None:
        """Shut down the elders when the heir is far enough, and let it run when they have."""
        for elder in slot.active:
            if elder.id != heir.id and self._may_go(elder, heir):
                slot.want(elder, TaskState.SHUTDOWN, self._now)
        if heir.desired_state is not TaskState.READY:
            return
        if heir.start_after > self._now:
            self.wakes.append(heir.start_after)
        elif self._is_start_first or self._others_have_ended(slot, heir):
            slot.want(heir, self._goal, self._now)

    def _may_go(self, elder: Task, heir: Task) -> bool:
        state = heir.status.state
        if state is TaskState.RUNNING or elder.status.state is not TaskState.RUNNING:
            return True
        if self._is_start_first:
            return False
        if self.is_on_leave(elder) and state is TaskState.PENDING and heir.status.error:
            return True
        return state >= TaskState.READY and heir.start_after <= self._now

    def _others_have_ended(self, slot: Slot, heir: Task | None) -> bool:
        has_ended = True
        for task in (*slot.tasks, *slot.leaving):
            if heir is not None and task.id == heir.id:
                continue
            state = task.status.state
            if state.is_terminal or state < TaskState.ASSIGNED or self.is_lost(task):
                continue
            if task.is_wanted:
                return False
            given_up_at = self._given_up_at(slot, task)
            if given_up_at > self._now:
                self.wakes.append(given_up_at)
                has_ended = False
        return has_ended

    def _given_up_at(self, slot: Slot, task: Task) -> Timestamp:
        container = task.spec.container_spec
        grace_ns = container.stop_grace_period if container else None
        if grace_ns is None:
            grace_ns = DEFAULT_STOP_GRACE_PERIOD_NS
        told_at = self._now if slot.has_changed(task) else task.meta.updated_at
        return after(told_at, grace_ns + STOP_PATIENCE_NS)
