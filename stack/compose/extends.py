"""``extends``: a service that begins as another one, of the same file or of another.

The other service is resolved first, with its own ``extends``; then the service is merged over it
like a later file.  Paths of a service of another file start in that file's folder.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from stack.compose.keys import ROOT
from stack.compose.merge import merge_values
from stack.compose.paths import Folder, resolve_service_paths
from stack.compose.tree import Entry, Mapping, Node, Scalar, fail, is_null, map_at, text_at, without

ReadServices = Callable[[str, str], Mapping]
"""Reads services of another compose file in canonical form.

Given are the file's absolute path and the name of the service that is wanted."""

_LONGEST_CHAIN = 50
_SERVICE = ROOT.child("services").child("")


def extended_part(root: Mapping, wanted: str) -> Mapping:
    """A file as it is written, with only the service that is wanted and those that it extends.

    Nothing else of a file matters to a service that extends one of it.
    """
    services = map_at(root, "services")
    if services is None:
        return root
    names: list[str] = [wanted]
    for name in names:
        extends = services.get(name)
        value = extends.get("extends") if isinstance(extends, Mapping) else None
        other = value.text if isinstance(value, Scalar) else text_at(value, "service")
        if other and other not in names and not text_at(value, "file"):
            names.append(other)
    kept = {name: entry for name, entry in services.entries.items() if name in names}
    entry = Entry(root.entries["services"].key_mark, Mapping(kept, services.mark))
    return Mapping({"services": entry}, root.mark)


def without_kept(root: Mapping) -> Mapping:
    """A file as it is written, without empty values of services that extend another one.

    Such a value keeps what the other service says.
    """
    services = map_at(root, "services")
    if services is None:
        return root
    entries = {
        name: Entry(entry.key_mark, _without_empty(entry.value))
        for name, entry in services.entries.items()
    }
    whole = dict(root.entries)
    changed = Mapping(entries, services.mark, services.tag)
    whole["services"] = Entry(whole["services"].key_mark, changed)
    return Mapping(whole, root.mark, root.tag)


def _without_empty(service: Node) -> Node:
    if not isinstance(service, Mapping) or is_null(service.get("extends")):
        return service
    kept = {
        name: entry
        for name, entry in service.entries.items()
        if not is_null(entry.value) or entry.value.tag or "null" in _SERVICE.child(name).accepts
    }
    return Mapping(kept, service.mark, service.tag)


class Extender:
    """Resolves ``extends`` of one project."""

    def __init__(self, read_services: ReadServices, home: str) -> None:
        self._read_services = read_services
        self._home = home

    def extend_all(self, root: Mapping, file: str, folder: str) -> Mapping:
        """Resolve all services of a canonical tree.

        Args:
            root: the tree of `file`.
            file: its name, for messages and to find cycles.
            folder: where paths of other files start.

        Raises:
            ComposeError: a service or file that is not there, or services that extend each other.
        """
        services = map_at(root, "services")
        if services is None or not any(
            _extends(entry.value) for entry in services.entries.values()
        ):
            return root
        entries = {
            name: Entry(entry.key_mark, self._resolve(name, services, file, folder, ()))
            for name, entry in services.entries.items()
        }
        whole = dict(root.entries)
        extended = Mapping(entries, services.mark, services.tag)
        whole["services"] = Entry(whole["services"].key_mark, extended)
        return Mapping(whole, root.mark, root.tag)

    def _resolve(
        self,
        name: str,
        services: Mapping,
        file: str,
        folder: str,
        chain: tuple[tuple[str, str], ...],
    ) -> Node:
        service = services.entries[name].value
        extends = _extends(service)
        if not isinstance(service, Mapping) or extends is None:
            return service
        path = f"services.{name}.extends"
        if (file, name) in chain:
            names = " -> ".join(one for _, one in (*chain, (file, name)))
            raise fail(extends.mark, path, f"services extend each other: {names}")
        if len(chain) >= _LONGEST_CHAIN:
            raise fail(extends.mark, path, f"more than {_LONGEST_CHAIN} services extend each other")
        chain = (*chain, (file, name))
        wanted, other = text_at(extends, "service"), text_at(extends, "file")
        if not wanted:
            raise fail(extends.mark, path, "'service' is missing: name the service to begin with")
        other_folder = folder
        if other:
            file = Folder(folder, self._home).absolute(other)
            other_folder = posixpath.dirname(file)
            services = self._read_services(file, wanted)
        if wanted not in services.entries:
            raise fail(extends.mark, path, f"there is no service '{wanted}' in {other or file}")
        origin = self._resolve(wanted, services, file, other_folder, chain)
        if not isinstance(origin, Mapping):
            return without(service, "extends")
        if other:
            resolved = resolve_service_paths(origin, Folder(other_folder, self._home))
            assert isinstance(resolved, Mapping)
            origin = resolved
        merged = merge_values(
            without(origin, "extends"), without(service, "extends"), _SERVICE, f"services.{name}"
        )
        assert isinstance(merged, Mapping)
        return merged


def _extends(service: Node) -> Mapping | None:
    value = service.get("extends") if isinstance(service, Mapping) else None
    return value if isinstance(value, Mapping) and not is_null(value) else None
