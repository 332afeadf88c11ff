"""The commands of the orchestrator's scenarios, spoken to a cluster in virtual time."""

from __future__ import annotations

import json

from cluster.model.extensions import EXTENSION_LABEL
from cluster.model.service import GlobalJobMode, ReplicatedJobMode, ReplicatedMode, ServiceMode
from cluster.model.task import Task
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from cluster.orchestrator.dependencies import waits_for
from tests.support.builders import make_cluster, make_node, make_service
from tests.support.cluster_model import START, Behaviour, ClusterModel, one_task_runs_per_slot
from tests.support.datadriven import Command


class ClusterScript:
    """One scenario: nodes, services, and what happens to them.

    cluster [history=5]                 begin anew
    image NAME [prepare=S] [crash=S] [finish=S] [missing=1]
    node NAME [state=..] [availability=..] [label=key:value]
    service NAME [replicas=N] [global=1] [job=N] [concurrent=N] [global-job=1] [image=..] [constraint=key==value] [port=N] [cpus=N]
                 [parallelism=N] [delay=S] [order=..] [action=..] [ratio=N] [monitor=S], each also
                 with rollback- before it
                 [condition=..] [restart-delay=S] [attempts=N]
    update NAME [image=..] [replicas=N]
    rollback NAME
    remove NAME | lose NODE | restore NODE | kill TASK | run SECONDS | leader
    rebalance REQUEST | rebalance stop | rebalancing
    tasks NAME [all=1] | status NAME | specs NAME | waits NAME

    A service may have after=NAME:CONDITION[:restart][:optional],… with the condition started,
    healthy or completed.
    """

    def __init__(self) -> None:
        self._model = ClusterModel()

    def handle(self, command: Command) -> str:
        method = getattr(self, f"_do_{command.name.replace('-', '_')}", None)
        if method is None:
            raise ValueError(f"unknown command {command.name!r}")
        return method(command) or ""

    def _do_cluster(self, command: Command) -> None:
        history = command.options.get("history")
        self._model = ClusterModel(
            make_cluster(task_history=None if history is None else int(history))
        )
        self._model.checks.append(one_task_runs_per_slot)

    def _do_image(self, command: Command) -> None:
        crash, finish = command.options.get("crash"), command.options.get("finish")
        self._model.behaviours[command.args[0]] = Behaviour(
            prepare_s=float(command.options.get("prepare", "0.5")),
            crash_after_s=None if crash is None else float(crash),
            finish_after_s=None if finish is None else float(finish),
            is_missing="missing" in command.options,
        )

    def _do_node(self, command: Command) -> None:
        name, options = command.args[0], command.options
        labels = dict([options["label"].split(":")]) if "label" in options else None
        if name in self._model.state.nodes:
            self._model.set_node(
                name,
                state=options.get("state"),
                availability=options.get("availability"),
                labels=labels,
            )
        else:
            availability = options.get("availability", "active")
            self._model.put(make_node(name, labels=labels, availability=availability))

    def _do_service(self, command: Command) -> None:
        options = command.options
        delay, attempts = options.get("restart-delay"), options.get("attempts")
        restart = RestartPolicy(
            condition=options.get("condition", ""),  # type: ignore[arg-type]
            delay=None if delay is None else round(float(delay) * SECOND_NS),
            max_attempts=None if attempts is None else int(attempts),
        )
        update = self._policy(options, "")
        if update.order == "start-first":
            self._model.checks.clear()
        self._model.put(
            make_service(
                command.args[0],
                replicas=command.option("replicas", 1),
                is_global="global" in options,
                job=self._job(options),
                image=options.get("image", "web:1"),
                labels=self._dependencies(options),
                constraints=[options["constraint"]] if "constraint" in options else [],
                host_ports=[int(options["port"])] if "port" in options else [],
                cpus=float(options.get("cpus", "0")),
                restart=restart,
                update=update,
                rollback=self._policy(options, "rollback-"),
            )
        )

    def _do_update(self, command: Command) -> None:
        name, options = command.args[0], command.options
        if "image" in options:
            self._model.change_image(name, options["image"])
        if "replicas" in options:
            mode = ServiceMode(replicated=ReplicatedMode(replicas=int(options["replicas"])))
            self._model.change_service(name, mode=mode)

    def _job(self, options: dict[str, str]) -> ReplicatedJobMode | GlobalJobMode | None:
        if "global-job" in options:
            return GlobalJobMode()
        if "job" not in options:
            return None
        return ReplicatedJobMode(
            max_concurrent=int(options.get("concurrent", "1")),
            total_completions=int(options["job"]),
        )

    def _dependencies(self, options: dict[str, str]) -> dict[str, str]:
        """``after=db:healthy,job:completed,log:started:restart:optional``."""
        conditions = {
            "healthy": "service_healthy",
            "completed": "service_completed_successfully",
            "started": "service_started",
        }
        document = {}
        for text in filter(None, options.get("after", "").split(",")):
            name, condition, *words = text.split(":")
            document[name] = {
                "condition": conditions[condition],
                "restart": "restart" in words,
                "required": "optional" not in words,
            }
        return {EXTENSION_LABEL: json.dumps({"depends_on": document})} if document else {}

    def _do_waits(self, command: Command) -> str:
        service = self._model.service(command.args[0])
        return ", ".join(waits_for(self._model.state, service)) or "nothing"

    def _policy(self, options: dict[str, str], prefix: str) -> UpdateConfig:
        return UpdateConfig(
            parallelism=int(options.get(f"{prefix}parallelism", "1")),
            delay=round(float(options.get(f"{prefix}delay", "0")) * SECOND_NS),
            order=options.get(f"{prefix}order", ""),  # type: ignore[arg-type]
            failure_action=options.get(f"{prefix}action", ""),  # type: ignore[arg-type]
            max_failure_ratio=float(options.get(f"{prefix}ratio", "0")),
            monitor=round(float(options.get(f"{prefix}monitor", "0")) * SECOND_NS),
        )

    def _do_rollback(self, command: Command) -> None:
        self._model.roll_back(command.args[0])

    def _do_specs(self, command: Command) -> str:
        service = self._model.service(command.args[0])
        shown = []
        for spec in (service.spec, service.previous_spec):
            container = spec.task_template.container_spec if spec else None
            shown.append(container.image if container else "none")
        return f"{shown[0]}, before {shown[1]}"

    def _do_rebalance(self, command: Command) -> None:
        (request,) = command.args
        self._model.ask_to_rebalance("" if request == "stop" else request)

    def _do_rebalancing(self, command: Command) -> str:
        del command
        cluster = self._model.state.cluster
        progress = cluster.rebalancing if cluster else None
        if progress is None:
            return "never"
        reason = f": {progress.message}" if progress.message else ""
        return f"{progress.request} {progress.state}, {progress.moved} moved{reason}"

    def _do_remove(self, command: Command) -> None:
        self._model.remove_service(command.args[0])

    def _do_lose(self, command: Command) -> None:
        self._model.lose_node(command.args[0])

    def _do_restore(self, command: Command) -> None:
        self._model.restore_node(command.args[0])

    def _do_kill(self, command: Command) -> None:
        task = next(t for t in self._model.state.tasks if t.id == command.args[0])
        self._model.kill_container(task)

    def _do_run(self, command: Command) -> None:
        self._model.run_for(float(command.args[0]))

    def _do_leader(self, command: Command) -> None:
        self._model.change_leader()

    def _do_tasks(self, command: Command) -> str:
        tasks = self._model.tasks(command.args[0])
        if "all" not in command.options:
            tasks = [t for t in tasks if t.is_wanted or not t.status.state.is_terminal]
        tasks.sort(key=lambda t: (t.slot, str(t.place), int(t.id[1:])))
        return "\n".join(map(self._row, tasks)) or "none"

    def _do_status(self, command: Command) -> str:
        status = self._model.service(command.args[0]).update_status
        if status is None:
            return "no update"
        times = f"from {self._at(status.started_at)}"
        if status.completed_at:
            times += f" to {self._at(status.completed_at)}"
        return f"{status.state}: {status.message}, {times}"

    def _row(self, task: Task) -> str:
        image = task.spec.container_spec.image if task.spec.container_spec else ""
        words = [
            f"{task.place}={task.id}",
            image,
            f"on {task.node_id or '-'}",
            task.status.state.spelled,
            f"(wanted {task.desired_state.spelled})",
        ]
        if task.start_after > self._model.now:
            words.append(f"not before {self._at(task.start_after)}")
        if task.status.error:
            words.append(f"- {task.status.error}")
        return " ".join(words)

    def _at(self, moment: int) -> str:
        return f"{(moment - START) / SECOND_NS:.1f}s"
