"""A deployment from end to end: look, compare, send, wait, clear away, or go back."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from stack.deploy.apply import Applied, apply, apply_at_once
from stack.deploy.converge import Pace, already_over, converge
from stack.deploy.events import AnyEvent, WarningEvent
from stack.deploy.lease import StackLease
from stack.deploy.observe import adopt, observe, stack_label, superseded_files
from stack.deploy.plan import (
    KeepService,
    Observed,
    Remove,
    Step,
    UpdateFile,
    giving_way,
    make_plan,
)
from stack.deploy.plan_file import PlanFile, check_plan
from stack.deploy.reasons import failure_events
from stack.deploy.removal import remove_objects
from stack.deploy.rollout import follow_rollout, pending_rollout
from stack.engine.client import EngineClient
from stack.engine.payloads import Json
from stack.errors import NotConverged, OutOfSequence, StackError, UsageError
from stack.translate.stack_spec import StackSpec

_PRUNE_TIMEOUT_S = 60.0


class Waiting(msgspec.Struct, frozen=True):
    """How long to wait for a stack, and how long it must then run, in seconds.

    Of a detached deployment that is to succeed as a whole it is the managers who wait so long.
    """

    timeout_s: float
    stable_s: float
    is_detached: bool = False


class Wholeness(msgspec.Struct, frozen=True):
    """How the stack is taken as a whole.

    Whether what the files do not name goes, whether all goes back when a part fails, and how many
    seconds to wait for another deployment.
    """

    prune: bool = False
    atomic: bool = False
    wait_s: float = 0.0


class Pinning(Protocol):
    """Pins a stack's images, as often as it is looked at; registries are asked once."""

    def pinned(self, wanted: StackSpec, observed: Observed) -> StackSpec:
        """The stack with images pinned."""
        ...

    def ask_anew(self) -> None:
        """Forget what registries said."""
        ...


class Images(Protocol):
    """How images are pinned, and with which logins nodes pull them."""

    def pinning(self, client: EngineClient) -> Pinning:
        """What pins the images of one deployment."""
        ...

    def logins(self, services: Iterable[Json]) -> dict[str, str]:
        """The encoded login at the registry of its image, by name of the service."""
        ...


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants of a deployment."""

    images: Images
    waiting: Waiting
    plan: PlanFile | None = None
    whole: Wholeness = Wholeness()


def author() -> str:
    """Who deploys, for the history: user and host as this process knows them."""
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


class Deployment:
    """One run of ``stack deploy``."""

    def __init__(
        self,
        client: EngineClient,
        wanted: StackSpec,
        tell: Callable[[AnyEvent], None],
        choices: Choices,
        pace: Pace = Pace(),  # noqa: B008 (frozen)
    ) -> None:
        self._client = client
        self._said = wanted  # by the files
        self._wanted = wanted  # with images pinned
        self._tell = tell
        self._choices = choices
        self._pinning = choices.images.pinning(client)
        self._waiting = None if choices.waiting.is_detached else choices.waiting
        self._pace = pace

    def run(self) -> None:
        """Bring the cluster to the stack.

        Raises:
            NotConverged: it does not come to that; its kind says how it ended.
            StackError: something was refused.
        """
        observed, steps, removals = self._look()
        if self._is_settled(steps, removals) and not self._logins():
            self._wait_for_unchanged(observed, steps)
            if removals or self._superseded(observed):
                with self._lease() as lease:
                    self._clear_away(lease, observed, removals)
            return
        with self._lease() as lease:
            if lease.was_waited_for:
                self._pinning.ask_anew()  # whoever had it may have brought newer images
            if lease.is_kept:  # whoever had it has changed the stack
                observed, steps, removals = self._look()
            if self._is_settled(steps, removals):
                self._wait_for_unchanged(observed, steps, lease)
                self._clear_away(lease, observed, removals)
                return
            observed = adopt(self._client, self._wanted, observed)
            steps, removals = self._plan(observed)
            self._carry_out(lease, observed, steps, removals)
            if not self._managers_prune:
                self._clear_away(lease, observed, removals)

    def _wait_for_unchanged(
        self, observed: Observed, steps: Sequence[Step], lease: StackLease | None = None
    ) -> None:
        """Wait for a stack that is as the files say, perhaps as somebody else is deploying it.

        Tells of each service, and sends logins, which may be newer than the last.
        """
        applied = apply(self._client, steps, observed, self._tell, logins=self._logins())
        if self._waiting is None:
            return
        watched = pending_rollout(self._client, self._wanted.name)
        if watched:
            seen = already_over(self._client, self._wanted.name)
            self._follow(watched, seen, lease.pace if lease else self._pace)
        else:
            self._wait(applied, observed, is_new=False, lease=lease)

    def _look(self) -> tuple[Observed, list[Step], list[Remove]]:
        observed = observe(self._client, self._said)
        self._wanted = self._pinning.pinned(self._said, observed)
        if self._choices.plan is not None:
            check_plan(self._choices.plan, self._wanted, observed)
        return (observed, *self._plan(observed))

    @property
    def _prunes(self) -> bool:
        plan = self._choices.plan
        return plan.prune if plan is not None else self._choices.whole.prune

    @property
    def _managers_prune(self) -> bool:
        """Whether nobody else is there to remove things once the deployment holds."""
        return self._choices.whole.atomic and self._prunes and self._waiting is None

    def _is_settled(self, steps: Sequence[Step], removals: Sequence[Remove]) -> bool:
        return _changes_nothing(steps) and not (removals and self._managers_prune)

    def _plan(self, observed: Observed) -> tuple[list[Step], list[Remove]]:
        steps = make_plan(self._wanted, observed, prune=self._prunes)
        removals = [step for step in steps if isinstance(step, Remove)]
        return [step for step in steps if not isinstance(step, Remove)], removals

    def _lease(self) -> StackLease:
        whole = self._choices.whole
        lease = StackLease.take(
            self._client, self._wanted.name, author(), wait_s=whole.wait_s, pace=self._pace
        )
        if whole.atomic and not lease.is_kept:
            raise UsageError("--atomic: the server keeps no revisions of stacks; stackd does")
        return lease

    def _carry_out(
        self,
        lease: StackLease,
        observed: Observed,
        steps: Sequence[Step],
        removals: Sequence[Remove],
    ) -> None:
        is_waited_for = self._waiting is not None
        seen = already_over(self._client, self._wanted.name) if is_waited_for else frozenset()
        try:
            applied = self._apply(lease, observed, steps, removals)
            is_new = not all(isinstance(step, KeepService | UpdateFile) for step in steps)
            if applied.is_watched and is_waited_for:
                self._follow(applied.revision, seen, lease.pace)
                return
            self._wait(applied, observed, is_new=is_new, lease=lease, seen=seen)
        except StackError as error:
            self._explain(observed, error)
            raise

    def _apply(
        self,
        lease: StackLease,
        observed: Observed,
        steps: Sequence[Step],
        removals: Sequence[Remove],
    ) -> Applied:
        exact = self._choices.plan is not None
        if not lease.is_kept:
            applied = apply(
                self._client, steps, observed, self._tell, logins=self._logins(), exact=exact
            )
        else:
            try:
                applied = self._apply_at_once(lease, observed, steps, removals)
            except OutOfSequence:
                if exact:
                    raise
                # the file wins over the other change, as it would have a moment later
                observed, steps, removals = self._look()
                applied = self._apply_at_once(lease, observed, steps, removals)
        for warning in applied.warnings:
            self._tell(WarningEvent(message=warning))
        return applied

    def _apply_at_once(
        self,
        lease: StackLease,
        observed: Observed,
        steps: Sequence[Step],
        removals: Sequence[Remove],
    ) -> Applied:
        ends_lease = self._waiting is None and (not removals or self._managers_prune)
        first = giving_way(steps, removals, observed)
        later = [one for one in removals if one.object_id not in first]
        applied = apply_at_once(
            self._client,
            self._wanted.name,
            steps,
            observed,
            self._tell,
            logins=self._logins(),
            about={
                "Lease": lease.token,
                "Author": author(),
                "EndLease": ends_lease,
                "Atomic": self._watch(later),
                "Remove": sorted(first),
            },
        )
        if ends_lease:
            lease.has_ended()
        return applied

    def _watch(self, removals: Sequence[Remove]) -> Json | None:
        """What the managers are to know to watch the deployment; None where they need not."""
        waiting = self._choices.waiting
        if not self._choices.whole.atomic:
            return None
        watch: Json = {
            "Timeout": int(waiting.timeout_s * 1e9),
            "Stable": int(waiting.stable_s * 1e9),
        }
        if self._managers_prune:
            for kind in ("service", "network"):
                ids = [one.object_id for one in removals if one.kind == kind]
                watch[f"Prune{kind.capitalize()}s"] = ids
        return watch

    def _follow(self, revision: int, seen: Collection[str], pace: Pace) -> None:
        follow_rollout(self._client, self._wanted.name, revision, seen, self._tell, pace)

    def _logins(self) -> dict[str, str]:
        return self._choices.images.logins(self._said.services)

    def _wait(
        self,
        applied: Applied,
        observed: Observed,
        *,
        is_new: bool,
        lease: StackLease | None = None,
        seen: Collection[str] | None = None,
    ) -> None:
        waiting = self._waiting
        if waiting is None:
            return
        try:
            converge(
                self._client,
                self._wanted.name,
                applied.service_ids,
                already_over(self._client, self._wanted.name) if seen is None else seen,
                timeout_s=waiting.timeout_s,
                stable_s=waiting.stable_s if is_new else 0.0,
                tell=self._tell,
                pace=lease.pace if lease else self._pace,
            )
        except NotConverged as error:
            for event in failure_events(self._client, error.failed):
                self._tell(event)
            if lease is None:
                self._explain(observed, error)
            raise

    def _clear_away(self, lease: StackLease, observed: Observed, removals: list[Remove]) -> None:
        waiting = self._waiting
        if lease.is_kept:  # the cluster collects files when no kept revision needs them
            removals = [one for one in removals if one.kind in ("service", "network")]
        else:
            removals = [*removals, *self._superseded(observed)]
        if not removals:
            return
        timeout_s = waiting.timeout_s if waiting else _PRUNE_TIMEOUT_S
        remove_objects(
            self._client,
            self._wanted.name,
            removals,
            timeout_s=timeout_s,
            tell=self._tell,
            pace=self._pace,
        )
        if lease.is_kept:
            request = {"Lease": lease.token, "Author": author(), "Message": "pruned"}
            self._client.deploy_stack(self._wanted.name, request)

    def _superseded(self, observed: Observed) -> list[Remove]:
        if self._waiting is None:  # a service may still be on its way
            return []
        return superseded_files(self._client, self._wanted, observed)

    def _explain(self, observed: Observed, error: StackError) -> None:
        name = self._wanted.name
        if not observed.services and _is_there(self._client, name):
            error.add_note(f"left as deployed; `stack rm {name}` removes it")


def _changes_nothing(steps: Iterable[Step]) -> bool:
    return all(isinstance(step, KeepService) for step in steps)


def _is_there(client: EngineClient, stack: str) -> bool:
    label = {"label": stack_label(stack)}
    try:
        return bool(client.services(label) or client.networks(label))
    except StackError:
        return False
