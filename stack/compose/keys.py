"""The keys of the Compose Specification: one table of what each is and what a stack does with it.

The table drives everything that goes key by key: the check of the structure, casts, short forms,
merging of several files, the canonical form, and the report of keys that are not applied.  A key
that becomes supported changes its row here and gets its translation; nothing else knows key names
twice.  The JSON Schema in ``schema/compose-spec.json`` is printed from it.
"""

from __future__ import annotations

from stack.compose.key import Form, Key, Merge, Status, Unique, Value
from stack.compose.service_keys import (
    BOOLEAN,
    INTEGER,
    KEY_VALUES,
    OPTIONS,
    SERVICE,
    TEXT,
    TEXTS,
    also,
    fields,
    list_of,
    map_of,
    rejected,
    rows,
    silent,
)

__all__ = ["ROOT", "Form", "Key", "Merge", "Status", "Unique", "Value"]

_EXTERNAL = Key(
    value=Value.BOOLEAN,
    form=Form.EXTERNAL,
    accepts="boolean|string|object",
    children={"name": TEXT},
)

_NETWORK = fields(
    {
        **rows(TEXT, "name", "driver"),
        "driver_opts": OPTIONS,
        **rows(BOOLEAN, "attachable", "internal"),
        **rows(also(BOOLEAN, keep=True), "enable_ipv4", "enable_ipv6"),
        "external": _EXTERNAL,
        "labels": KEY_VALUES,
        "ipam": fields(
            {
                "driver": TEXT,
                "config": list_of(
                    fields(
                        {
                            **rows(TEXT, "subnet", "gateway", "ip_range"),
                            "aux_addresses": map_of(TEXT, names="", extensible=False),
                        }
                    ),
                    merge=Merge.SUBNET,
                ),
                "options": map_of(TEXT, names="", extensible=False),
            },
            keep=True,
        ),
    },
    accepts="object|null",
)

_VOLUME = fields(
    {
        **rows(TEXT, "name", "driver"),
        "driver_opts": OPTIONS,
        "external": _EXTERNAL,
        "labels": KEY_VALUES,
    },
    accepts="object|null",
)

_CONFIG = {
    **rows(TEXT, "name", "file", "environment", "template_driver"),
    "external": _EXTERNAL,
    "labels": KEY_VALUES,
}

_MODEL = fields(
    {
        **rows(TEXT, "name", "model"),
        "context_size": also(INTEGER, accepts="integer"),
        "runtime_flags": TEXTS,
    },
    required=("model",),
)

ROOT = fields(
    {
        "version": silent(TEXT),  # the loader notes it
        "name": TEXT,
        "services": map_of(fields(SERVICE), extensible=False),
        "networks": map_of(_NETWORK),
        "volumes": map_of(_VOLUME, extensible=False),
        "secrets": map_of(
            fields({**_CONFIG, "driver": TEXT, "driver_opts": OPTIONS}), extensible=False
        ),
        "configs": map_of(fields({**_CONFIG, "content": TEXT}), extensible=False),
        "include": list_of(
            fields(
                {
                    **rows(
                        Key(value=Value.TEXTS, form=Form.ONE_OR_LIST, accepts="string|array"),
                        "path", "env_file",
                    ),
                    "project_directory": TEXT,
                },
                accepts="string|object",
                extensible=False,
            ),
            form=Form.INCLUDES,
            accepts="array|null",
        ),
        "models": rejected(map_of(_MODEL), "a stack cannot have it"),
    }
)  # fmt: skip
