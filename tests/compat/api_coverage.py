"""What of a service's spec is carried out, and the tests that show it; printed into the documents.

`traces/service-members-1.50.txt` lists all members that API 1.50 knows.  A row here is for one of them and all
below it, unless they have a row of their own.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Answer = Literal["yes", "partly", "no"]


class Row(NamedTuple):
    """An answer, what is missing, and the test that shows it as FILE::FUNCTION below tests/."""

    answer: Answer
    missing: str
    test: str


_FIELDS = "e2e/test_service_fields.py::test_a_container_has_all_that_its_service_says"
_FILES = "e2e/test_secrets.py::test_files_arrive_with_owner_and_mode_and_only_where_they_are_needed"
_REFUSED = (
    "unit/cluster/executor/test_create_payload.py::test_what_cannot_be_done_is_refused_by_name"
)
_NEWER = "unit/cluster/executor/test_create_payload.py::test_a_newer_engine_may_do_more"
_MOUNTS = "unit/cluster/executor/test_create_payload.py::test_mounts"
_SECURITY = "unit/cluster/executor/test_create_payload.py::test_security_options"
_NETWORKS = "unit/cluster/executor/test_create_payload.py::test_only_predefined_networks_are_named"
_NAMES = (
    "unit/cluster/network/test_dns_records.py::test_a_container_finds_the_names_of_all_its_networks"
)
_NETS = "e2e/network/test_stack_networks.py"
_PORTS = "e2e/network/test_published_ports.py"
_JOINED = f"{_NETS}::test_names_lead_to_tasks_on_all_hosts_in_turn"
_OLD_NETWORKS = (
    "unit/cluster/api/payloads/test_services.py::test_networks_at_the_top_count_for_old_clients"
)
_LIFE = "compat/test_swarm_commands.py::test_a_services_life"
_UPDATE = "e2e/test_updates.py::test_two_at_a_time_with_a_delay_between"
_ROLLBACK = "e2e/test_updates.py::test_an_update_that_fails_rolls_itself_back"
_JOB = "e2e/test_jobs.py::test_a_replicated_job_runs_to_its_end"
_DELAY = "e2e/test_healing.py::test_a_container_that_exits_is_started_again_after_the_delay"
_ATTEMPTS = "e2e/test_healing.py::test_restarts_end_after_the_attempts_a_policy_allows"
_PLATFORMS = "unit/cluster/scheduler/test_filters.py::test_platforms"
_GENERIC = "unit/cluster/scheduler/test_filters.py::test_generic_resources_are_counted_by_kind"
_OTHER_SPECS = (
    "unit/cluster/api/payloads/test_services.py::test_other_kinds_of_services_are_refused"
)
_ENGINE = "engines with API {} or newer; others reject the task"

_CONTAINER = "TaskTemplate.ContainerSpec"
_MOUNT = f"{_CONTAINER}.Mounts[]"

FIELDS: dict[str, Row] = {
    "Name": Row("yes", "", _LIFE),
    "Labels": Row("yes", "", _LIFE),
    "Mode.Replicated": Row("yes", "", _LIFE),
    "Mode.Global": Row("yes", "", "e2e/test_nodes.py::test_a_global_service_follows_the_nodes"),
    "Mode.ReplicatedJob": Row("yes", "", _JOB),
    "Mode.GlobalJob": Row(
        "yes", "", "e2e/test_jobs.py::test_a_global_job_runs_once_on_every_host"
    ),
    "UpdateConfig": Row("yes", "", _UPDATE),
    "RollbackConfig": Row("yes", "", _ROLLBACK),
    "EndpointSpec.Mode": Row(
        "yes",
        "",
        "unit/cluster/allocator/test_networks.py::test_a_service_of_mode_dnsrr_has_no_address_of_its_own",
    ),
    "EndpointSpec.Ports[]": Row(
        "yes",
        "in mode ingress TCP and UDP over IPv4",
        f"{_PORTS}::test_every_node_answers_and_the_server_sees_the_client",
    ),
    "Networks[]": Row("partly", "as TaskTemplate.Networks, below API 1.44", _OLD_NETWORKS),
    "TaskTemplate.Networks[]": Row("yes", "cluster networks, host and none", _JOINED),
    "TaskTemplate.Networks[].Aliases[]": Row("yes", "", _NAMES),
    "TaskTemplate.Networks[].DriverOpts": Row("no", "kept; there are none to carry out", _NETWORKS),
    "TaskTemplate.ForceUpdate": Row("yes", "", _LIFE),
    "TaskTemplate.Runtime": Row("partly", "container", _OTHER_SPECS),
    "TaskTemplate.PluginSpec": Row("no", "501", _OTHER_SPECS),
    "TaskTemplate.NetworkAttachmentSpec": Row("no", "501", _OTHER_SPECS),
    "TaskTemplate.LogDriver": Row("yes", "", _FIELDS),
    "TaskTemplate.Resources.Limits": Row("yes", "", _FIELDS),
    "TaskTemplate.Resources.Reservations": Row(
        "yes", "", "e2e/test_nodes.py::test_reservations_that_fit_nowhere_wait_until_there_is_room"
    ),
    "TaskTemplate.Resources.Reservations.GenericResources[]": Row("yes", "", _GENERIC),
    "TaskTemplate.RestartPolicy.Condition": Row("yes", "", _ATTEMPTS),
    "TaskTemplate.RestartPolicy.Delay": Row("yes", "", _DELAY),
    "TaskTemplate.RestartPolicy.MaxAttempts": Row("yes", "", _ATTEMPTS),
    "TaskTemplate.RestartPolicy.Window": Row(
        "yes", "", "unit/cluster/orchestrator/test_restart.py::test_the_window_is_seen_from_the_tasks_end"
    ),
    "TaskTemplate.Placement.Constraints[]": Row(
        "yes", "", "e2e/test_nodes.py::test_tasks_go_where_labels_and_constraints_say"
    ),
    "TaskTemplate.Placement.Preferences[]": Row(
        "yes", "", "unit/cluster/scheduler/test_preferences.py::test_levels_are_evened_out_from_the_top"
    ),
    "TaskTemplate.Placement.MaxReplicas": Row(
        "yes", "", "unit/cluster/scheduler/test_filters.py::test_max_replicas_count_only_the_own_service"
    ),
    "TaskTemplate.Placement.Platforms[]": Row("yes", "", _PLATFORMS),
    _CONTAINER: Row("yes", "", _FIELDS),
    f"{_CONTAINER}.Healthcheck.StartInterval": Row("yes", _ENGINE.format("1.44"), _NEWER),
    f"{_CONTAINER}.Isolation": Row("partly", "default; others are for Windows", _REFUSED),
    f"{_CONTAINER}.Privileges.CredentialSpec": Row("no", "for Windows; rejects the task", _REFUSED),
    f"{_CONTAINER}.Privileges.SELinuxContext": Row("yes", "", _SECURITY),
    f"{_CONTAINER}.Privileges.AppArmor": Row("yes", "", _SECURITY),
    f"{_CONTAINER}.Secrets[]": Row("yes", "", _FILES),
    f"{_CONTAINER}.Configs[]": Row("yes", "", _FILES),
    f"{_CONTAINER}.Configs[].Runtime": Row(
        "no",
        "501; for credential specs of Windows",
        "unit/cluster/api/commands/test_attached_files.py::test_configs_for_the_runtime_are_refused",
    ),
    f"{_MOUNT}.Type": Row("partly", "bind, volume, tmpfs; cluster is a 501", _MOUNTS),
    f"{_MOUNT}.Consistency": Row("yes", "", _MOUNTS),
    f"{_MOUNT}.ImageOptions": Row("no", "mounts of images reject the task", _REFUSED),
    f"{_MOUNT}.BindOptions.NonRecursive": Row("yes", "", _MOUNTS),
    f"{_MOUNT}.BindOptions.CreateMountpoint": Row("yes", _ENGINE.format("1.42"), _NEWER),
    f"{_MOUNT}.BindOptions.ReadOnlyForceRecursive": Row("yes", _ENGINE.format("1.44"), _NEWER),
    f"{_MOUNT}.BindOptions.ReadOnlyNonRecursive": Row("yes", _ENGINE.format("1.44"), _NEWER),
    f"{_MOUNT}.VolumeOptions.Subpath": Row("yes", _ENGINE.format("1.45"), _NEWER),
    f"{_MOUNT}.TmpfsOptions.Options[][]": Row(
        "yes", "", "unit/cluster/executor/test_extension_payload.py::test_options_of_a_tmpfs_reach_older_engines_too"
    ),
}  # fmt: skip

_RECORDED = "e2e/test_recorded_commands.py::test_recorded_commands_end_the_same"
_PASSED_ON = "compat/test_engine_passthrough.py::test_version_and_info_tell_of_both"
_EVENTS = "compat/test_events.py::test_the_past_of_both_is_told_in_the_order_of_time"
_OF_FILES = "compat/test_swarm_commands.py::test_secrets_and_configs_live_and_die"
_FILE_UPDATES = (
    "unit/cluster/api/test_requests.py::test_recorded_requests_about_secrets_and_configs"
)
_OF_NETWORKS = "compat/test_swarm_commands.py::test_cluster_networks_stand_beside_local_ones"
_PLAIN = "e2e/network/test_plain_containers.py::test_containers_are_connected_and_disconnected_while_they_run"
_OF_NODES = "compat/test_swarm_commands.py::test_nodes"
_LOGS = "e2e/test_logs.py::test_lines_of_all_hosts_are_read_at_one_place"
_LEAVE = "e2e/test_membership.py::test_a_manager_leaves_only_by_force_and_forgets_everything"
_JOIN = "e2e/test_membership.py::test_a_wrong_token_is_refused_and_the_host_stays_outside"

OPERATIONS: dict[str, str] = {
    "GET /_ping": _PASSED_ON,
    "HEAD /_ping": _RECORDED,
    "GET /version": _PASSED_ON,
    "GET /info": _PASSED_ON,
    "GET /events": _EVENTS,
    "GET /distribution/{name}/json": "e2e/test_registry.py::test_nodes_pull_with_the_login_of_the_service",
    "GET /swarm": _RECORDED,
    "POST /swarm/init": "compat/test_swarm_commands.py::test_init_prints_how_to_join_and_is_refused_twice",
    "POST /swarm/join": _JOIN,
    "POST /swarm/leave": _LEAVE,
    "POST /swarm/update": "compat/test_swarm_commands.py::test_settings_are_changed",
    "GET /swarm/unlockkey": _RECORDED,
    "POST /swarm/unlock": _RECORDED,
    "GET /nodes": _OF_NODES,
    "GET /nodes/{id}": _OF_NODES,
    "POST /nodes/{id}/update": _OF_NODES,
    "DELETE /nodes/{id}": _OF_NODES,
    "GET /services": _LIFE,
    "POST /services/create": _LIFE,
    "GET /services/{id}": _LIFE,
    "POST /services/{id}/update": _LIFE,
    "DELETE /services/{id}": _LIFE,
    "GET /services/{id}/logs": _LOGS,
    "GET /tasks": _RECORDED,
    "GET /tasks/{id}": _RECORDED,
    "GET /tasks/{id}/logs": _RECORDED,
    "GET /networks": _OF_NETWORKS,
    "GET /networks/{id}": _OF_NETWORKS,
    "POST /networks/create": _OF_NETWORKS,
    "DELETE /networks/{id}": _OF_NETWORKS,
    "POST /networks/prune": _OF_NETWORKS,
    "POST /networks/{id}/connect": _PLAIN,
    "POST /networks/{id}/disconnect": _PLAIN,
    **{
        f"{operation}{rest}": _OF_FILES
        for kind in ("secrets", "configs")
        for operation, rest in (
            (f"GET /{kind}", ""),
            (f"POST /{kind}", "/create"),
            (f"GET /{kind}", "/{id}"),
            (f"DELETE /{kind}", "/{id}"),
        )
    },
    **{f"POST /{kind}/{{id}}/update": _FILE_UPDATES for kind in ("secrets", "configs")},
}  # fmt: skip
"""The 43 operations of the swarm part of the API, each with a test that carries it out."""

_REVISIONS = "e2e/test_stacks.py::test_each_deployment_is_a_revision_that_one_can_return_to"
_LEASES = "e2e/test_stacks.py::test_an_operator_breaks_in"
_TOKENS = (
    "unit/cluster/api/test_limited_routes.py::test_a_token_that_is_wrong_or_taken_back_is_a_401"
)
_TOKENS_SHOWN = "unit/cluster/api/test_limited_routes.py::test_a_token_is_shown_once"
_COPIES = "e2e/test_identity.py::test_a_cluster_lives_on_from_its_backup_on_another_host"

OWN_OPERATIONS: dict[str, str] = {
    "GET /containers/json": "compat/test_engine_passthrough.py::test_task_containers_are_told_apart",
    "POST /containers/create": _PLAIN,
    "GET /stacks": "unit/cluster/api/test_limited_routes.py::test_lists_hold_its_stacks_only",
    "GET /stacks/{name}": "e2e/test_stacks.py::test_two_deployments_do_not_interleave",
    "GET /stacks/{name}/revisions": _REVISIONS,
    "GET /stacks/{name}/revisions/{number}": _REVISIONS,
    "POST /stacks/{name}/deploy": _REVISIONS,
    "POST /stacks/{name}/rollback": _REVISIONS,
    "POST /stacks/{name}/lease": _LEASES,
    "DELETE /stacks/{name}/lease": _LEASES,
    "GET /stackyard/tokens": _TOKENS_SHOWN,
    "GET /stackyard/tokens/{id}": _TOKENS_SHOWN,
    "POST /stackyard/tokens/create": _TOKENS_SHOWN,
    "POST /stackyard/tokens/{id}/rotate": _TOKENS,
    "DELETE /stackyard/tokens/{id}": _TOKENS,
    "GET /stackyard/audit": "unit/cluster/api/test_audit.py::test_the_log_is_read_by_stack_time_and_number",
    "POST /stackyard/backup": _COPIES,
    "POST /stackyard/restore": _COPIES,
    "POST /stackyard/diagnosis": "e2e/network/test_doctor.py::test_closed_ports_are_found_between_the_right_nodes",
}  # fmt: skip
"""The other operations that are served here, the project's own among them."""
