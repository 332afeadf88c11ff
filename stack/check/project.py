"""A project as the rules look at it: the merged tree, with questions that many of them ask.

Rules look at the tree, not at the typed model: a project that is not ready for a cluster often
cannot be made typed at all, and every finding needs a place in a file.  So nothing here fails on
values of a wrong type; that is the loader's to tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from stack.compose.tree import Mapping, Mark, Node, Scalar, Sequence, is_null


class Place(msgspec.Struct, frozen=True):
    """Where something stands: its path of keys, and its file and line."""

    path: str
    mark: Mark


class Part:
    """A map of the tree with its place; an absent map is an empty part."""

    def __init__(self, node: Node | None, place: Place) -> None:
        self.node = node if isinstance(node, Mapping) else None
        self.place = place

    def get(self, key: str) -> Node | None:
        """The value of a key; None when it is absent or empty."""
        value = self.node.get(key) if self.node else None
        return None if is_null(value) else value

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        return self.get(key) is not None

    def text(self, key: str) -> str:
        """A scalar as text; "" when it is absent or no scalar."""
        value = self.get(key)
        return value.text if isinstance(value, Scalar) else ""

    def number(self, key: str) -> int | None:
        """A whole number, however it is written."""
        text = self.text(key)
        return int(text) if text.isdecimal() else None

    def is_true(self, key: str) -> bool:
        """Whether a boolean is on."""
        return self.text(key).lower() in {"true", "yes", "on", "y"}

    def at(self, key: str) -> Place:
        """Where a key stands; the part's own place when it is absent."""
        path = f"{self.place.path}.{key}" if self.place.path else key
        entry = self.node.entries.get(key) if self.node else None
        return Place(path, entry.key_mark if entry else self.place.mark)

    def below(self, key: str) -> Part:
        """The map under a key."""
        return Part(self.get(key), self.at(key))

    def children(self) -> Iterator[tuple[str, Part]]:
        """The maps under all keys, empty ones for values that are none."""
        for name, entry in self.node.entries.items() if self.node else ():
            if not name.startswith("x-"):
                yield name, Part(entry.value, self.at(name))

    def items(self, key: str) -> Iterator[Part]:
        """The maps in a list."""
        value = self.get(key)
        for index, item in enumerate(value.items if isinstance(value, Sequence) else ()):
            yield Part(item, Place(f"{self.at(key).path}[{index}]", item.mark))

    def texts(self, key: str) -> Iterator[tuple[str, Place]]:
        """The scalars of a list, or a single one."""
        value = self.get(key)
        if isinstance(value, Scalar):
            yield value.text, self.at(key)
        for index, item in enumerate(value.items if isinstance(value, Sequence) else ()):
            if isinstance(item, Scalar):
                yield item.text, Place(f"{self.at(key).path}[{index}]", item.mark)


class ServicePart(Part):
    """A service."""

    def __init__(self, name: str, node: Node | None, place: Place) -> None:
        super().__init__(node, place)
        self.name = name
        self.deploy = self.below("deploy")

    @property
    def is_global(self) -> bool:
        """Whether every node runs one task."""
        return self.deploy.text("mode") in {"global", "global-job"}

    @property
    def replicas(self) -> int:
        """Wanted number of tasks; 1 for a global service, one a node."""
        if self.is_global:
            return 1
        wanted = self.deploy.number("replicas")
        if wanted is None:
            wanted = self.number("scale")
        return 1 if wanted is None else wanted

    @property
    def is_many(self) -> bool:
        """Whether more than one task runs at a time."""
        return self.is_global or self.replicas > 1

    @property
    def tasks(self) -> str:
        """How many tasks, in words."""
        if self.is_global:
            return "one task on every node"
        return "1 task" if self.replicas == 1 else f"{self.replicas} tasks"

    @property
    def is_pinned(self) -> bool:
        """Whether constraints keep the tasks on chosen nodes."""
        return any(True for _ in self.deploy.below("placement").texts("constraints"))

    def published_ports(self) -> Iterator[tuple[str, Part]]:
        """The ports with a published number, each as "8080/tcp" and with its place.

        A range gives each of its numbers.
        """
        for port in self.items("ports"):
            published = port.text("published")
            if published in {"", "0"}:
                continue
            protocol = port.text("protocol").lower() or "tcp"
            first, _, last = published.partition("-")
            if not first.isdecimal() or not last.isdecimal():
                yield f"{published}/{protocol}", port
                continue
            for number in range(int(first), int(last) + 1):
                yield f"{number}/{protocol}", port

    def host_ports(self) -> Iterator[tuple[str, Part]]:
        """Those of them that are published on the nodes of the service's tasks only."""
        for name, port in self.published_ports():
            if port.text("mode") == "host":
                yield name, port


class Project:
    """A project and what is known of the cluster that it is meant for."""

    def __init__(
        self,
        root: Mapping,
        *,
        folders: Iterable[str] = (),
        relative: Collection[Mark] = (),
        nodes: int | None = None,
    ) -> None:
        """Look at a project.

        Args:
            root: the merged tree with all short forms written out.
            folders: of this machine, the project's and the user's; paths below them are taken for
                relative ones that were made absolute.
            relative: where the files name a path relative to such a folder.
            nodes: how many nodes the cluster has, None when that is not known.
        """
        self._folders = tuple(folder.rstrip("/") + "/" for folder in folders if folder.strip("/"))
        self._relative = relative
        self.nodes = nodes
        self.root = Part(root, Place("", root.mark))
        self.services = [
            ServicePart(name, part.node, part.place)
            for name, part in self.root.below("services").children()
        ]
        self.networks = dict(self.root.below("networks").children())
        self.volumes = dict(self.root.below("volumes").children())

    def is_relative(self, path: str, place: Place) -> bool:
        """Whether a path leads into the project's folder or the user's home."""
        return place.mark in self._relative or is_relative(path) or self._is_below_a_folder(path)

    def _is_below_a_folder(self, path: str) -> bool:
        return f"{path}/".startswith(self._folders) if self._folders else False


def is_relative(path: str) -> bool:
    """Whether a path, as written, starts from a folder of this machine."""
    return path.startswith((".", "~"))


def relative_mounts(root: Mapping) -> set[Mark]:
    """Where a tree, its paths not yet resolved, has mounts of relative paths."""
    return {
        mount.place.mark
        for service in Project(root).services
        for mount in service.items("volumes")
        if is_relative(mount.text("source"))
    }
