"""The body of a request to make or change a service."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.payloads.decoding import convert_tree, parse_body
from cluster.api.versions import ApiVersion
from cluster.errors import InvalidArgument, Unimplemented
from cluster.model.service import ServiceSpec
from cluster.model.spec_struct import SpecStruct

_NETWORKS_MOVED = ApiVersion(1, 44)


class _OtherModes(SpecStruct, frozen=True, kw_only=True, gc=False):
    replicated: Any = None
    global_: Any = msgspec.field(default=None, name="Global")
    replicated_job: Any = None
    global_job: Any = None


class _OtherRuntimes(SpecStruct, frozen=True, kw_only=True, gc=False):
    container_spec: Any = None
    plugin_spec: Any = None
    network_attachment_spec: Any = None
    runtime: str = ""


class _OtherMembers(SpecStruct, frozen=True, kw_only=True, gc=False):
    """What a client may send beside the members of the model's spec."""

    task_template: _OtherRuntimes = _OtherRuntimes()
    mode: _OtherModes = _OtherModes()


def decode_service_spec(body: bytes, version: ApiVersion) -> ServiceSpec:
    """Return the spec that a client wishes for.

    Raises:
        InvalidArgument: no spec, or a member of a wrong type, which the message names.
        Unimplemented: a kind of service that this version does not run.
    """
    return service_spec_of(parse_body(body), version)


def service_spec_of(tree: Any, version: ApiVersion) -> ServiceSpec:
    """Return the spec that plain values hold; errors as with `decode_service_spec`."""
    others = convert_tree(tree, _OtherMembers)
    _check_mode(others.mode)
    _check_runtime(others.task_template)
    spec = convert_tree(tree, ServiceSpec)
    if version >= _NETWORKS_MOVED:
        return msgspec.structs.replace(spec, networks=())
    if spec.networks and not spec.task_template.networks:
        template = msgspec.structs.replace(spec.task_template, networks=spec.networks)
        spec = msgspec.structs.replace(spec, task_template=template)
    return spec


def _check_mode(mode: _OtherModes) -> None:
    members = zip(mode.__struct_fields__, mode.__struct_encode_fields__, strict=True)
    given = [said for name, said in members if getattr(mode, name) is not None]
    if len(given) > 1:
        raise InvalidArgument(
            f"Mode: must specify only one service mode, not {' and '.join(given)}"
        )


def _check_runtime(template: _OtherRuntimes) -> None:
    if template.plugin_spec is not None or template.runtime == "plugin":
        raise Unimplemented("TaskTemplate.PluginSpec: services of plugins are not in this version")
    if template.network_attachment_spec is not None or template.runtime == "attachment":
        raise Unimplemented(
            "TaskTemplate.NetworkAttachmentSpec: attachments are not made through this call"
        )
    if template.runtime not in {"", "container"}:
        raise InvalidArgument(f"TaskTemplate.Runtime: {template.runtime!r} is not container")
    if template.container_spec is None:
        raise InvalidArgument(
            "TaskTemplate.ContainerSpec: mismatched Runtime and *Spec fields: it is required"
        )
