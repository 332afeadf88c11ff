"""``x-stack: {pre_deploy: true}``: a service that must complete before all others are touched.

It becomes a job, such as a migration of a database, and every service that it does not need
itself depends on its completion.  The rest is the cluster's work, as with any ``depends_on``.
"""

from __future__ import annotations

from msgspec.structs import replace

from stack.compose.types import Compose, Dependency, Deploy, RestartPolicy, Service

_AFTER = Dependency(condition="service_completed_successfully")


def with_pre_deploy(compose: Compose) -> Compose:
    """The project with its pre-deploy services as jobs, and all others waiting for them."""
    first = [service.name for service in compose.services if service.pre_deploy]
    if not first:
        return compose
    by_name = {service.name: service for service in compose.services}
    needed = set(first)
    pending = list(first)
    while pending:
        for name in by_name[pending.pop()].depends_on:
            if name in by_name and name not in needed:
                needed.add(name)
                pending.append(name)
    return replace(
        compose,
        services=tuple(
            _as_job(service)
            if service.pre_deploy
            else service
            if service.name in needed
            else _waiting(service, first)
            for service in compose.services
        ),
    )


def _as_job(service: Service) -> Service:
    deploy: Deploy = service.deploy
    if deploy.mode == "replicated":
        deploy = replace(deploy, mode="replicated-job", replicas=1)
    if deploy.restart_policy is None:
        deploy = replace(deploy, restart_policy=RestartPolicy(condition="none"))
    return replace(service, deploy=replace(deploy, update_config=None, rollback_config=None))


def _waiting(service: Service, first: list[str]) -> Service:
    return replace(service, depends_on={**dict.fromkeys(first, _AFTER), **service.depends_on})
