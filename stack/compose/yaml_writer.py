"""Plain values to YAML text, in the order they are given."""

from __future__ import annotations

from typing import Any

import yaml


def write_yaml(value: object) -> str:
    """Block-style YAML without anchors."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[misc]  # chosen at run time: the C emitter where it is built
    """Writes a shared value out each time."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 (yaml's signature)
        return True
