"""A project's files to one tree in canonical form: everything up to the typed model.

The order of the steps is that of Compose: each document is read, its variables filled in, checked,
written out, completed by ``extends`` and ``include``, and merged over what came before; then the
whole gets its defaults, absolute paths, variables of services, names, and is checked once more.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping as AbstractMapping

from stack.compose.casts import cast
from stack.compose.consistency import check_objects, check_services
from stack.compose.defaults import set_defaults
from stack.compose.env_file import read_env_text
from stack.compose.extends import Extender, extended_part, without_kept
from stack.compose.interpolation import interpolate_tree
from stack.compose.keys import ROOT
from stack.compose.merge import finish, merge_values, without_empty
from stack.compose.normalise import normalise
from stack.compose.notice import Notice
from stack.compose.paths import Folder, resolve_paths
from stack.compose.profiles import named_profiles, only_active
from stack.compose.record import Record
from stack.compose.short_forms import write_out
from stack.compose.source import MAX_FILE_BYTES, Source
from stack.compose.structure import check_required, check_structure
from stack.compose.tree import (
    Entry,
    Mapping,
    Mark,
    Node,
    Scalar,
    fail,
    items_at,
    kind_of,
    map_at,
    map_values,
    text_at,
    to_plain,
    with_values,
    without,
)
from stack.compose.variables import read_env_files, read_label_files, take_from_environment
from stack.compose.yaml_reader import read_yaml
from stack.errors import ComposeError, UsageError

_IMPORTED = ("services", "networks", "volumes", "configs", "secrets", "models")


class Resolved(Record):
    """A project in canonical form: nothing short, nothing relative, nothing left to look up."""

    name: str
    root: Mapping
    environment: AbstractMapping[str, str]  # what its variables were taken from
    notices: tuple[Notice, ...]
    all_profiles: tuple[str, ...]  # those that services name, sorted


class Options(Record):
    """How a project is to be resolved."""

    stack: str = ""  # the name the user asked for
    profiles: tuple[str, ...] = ()  # in addition to COMPOSE_PROFILES
    interpolates: bool = True  # False keeps variables and env_file as they are written
    reads_env_files: bool = True  # and files of labels; lists of names do not need them


_DEFAULT = Options()


def resolve(source: Source, options: Options = _DEFAULT) -> Resolved:
    """Resolve a project.

    Raises:
        ComposeError: a file is not right; names file, line and key.
        UsageError: the name can be no stack's.
    """
    documents = [
        (file.name, _top_map(document, file.name))
        for file in source.files
        for document in _read(file.name, file.content)
    ]
    name = _project_name(source, [tree for _, tree in documents], options)
    environment = {**source.environment, "COMPOSE_PROJECT_NAME": name}
    loading = _Loading(source, options.interpolates)
    root = loading.project(documents, source.folder, environment, ())
    if options.interpolates:
        root = take_from_environment(root, environment.get)
    whole = normalise(root, name, source.folder)
    environment_profiles = source.environment.get("COMPOSE_PROFILES", "").split(",")
    profiles = (*options.profiles, *(one for one in environment_profiles if one))
    active = only_active(whole, profiles)
    if options.interpolates:
        all_services = map_at(whole, "services")
        check_services(active, all_services.entries if all_services is not None else ())
        if options.reads_env_files:
            active = _with_side_files(active, environment, source)
    return Resolved(
        name=name,
        root=active,
        environment=environment,
        notices=tuple(loading.notices),
        all_profiles=named_profiles(whole),
    )


def _with_side_files(root: Mapping, environment: dict[str, str], source: Source) -> Mapping:
    services = map_at(root, "services")
    if services is None:
        return root

    def service(name: str, node: Node) -> Node:
        if not isinstance(node, Mapping):
            return node
        path = f"services.{name}"
        if "env_file" in node.entries:
            node = read_env_files(node, path, environment.get, source.read_file)
        return read_label_files(node, path, environment.get, source.read_file)

    return with_values(root, {"services": map_values(services, service)})


def _read(name: str, content: bytes) -> list[Node]:
    if len(content) > MAX_FILE_BYTES:
        size = f"{len(content) / 2**20:.1f} MiB"
        raise ComposeError(f"{name}: {size} are too much: a compose file may have 1 MiB")
    return read_yaml(content, name) or [Scalar(None, Mark(name))]


def _top_map(document: Node, file: str) -> Mapping:
    if isinstance(document, Mapping):
        return document
    if isinstance(document, Scalar) and document.value is None:
        raise ComposeError(f"{file}: the file is empty")
    raise fail(
        document.mark, "", f"the file must be a map with 'services:', not {kind_of(document)}"
    )


class _Loading:
    """What all files of a project share while they are loaded."""

    def __init__(self, source: Source, interpolates: bool) -> None:  # noqa: FBT001
        self._source = source
        self._interpolates = interpolates
        self._unset: set[str] = set()
        self.notices: list[Notice] = []

    def project(
        self,
        documents: list[tuple[str, Mapping]],
        folder: str,
        environment: dict[str, str],
        including: tuple[str, ...],
    ) -> Mapping:
        """Load a project, or one that another one includes."""
        extender = Extender(
            lambda file, wanted: self._services_of(file, wanted, environment), self._source.home
        )
        root: Node = Mapping({}, documents[0][1].mark)
        for file, document in documents:
            tree = self._prepared(document, environment, root)
            tree = extender.extend_all(tree, file, folder)
            tree = self._included(tree, folder, environment, (*including, file))
            if "version" in tree.entries:
                mark = tree.entries["version"].key_mark
                problem = "version: is no longer needed and ignored"
                self._notice(Notice(mark, problem, harmless=True))
                tree = without(tree, "version")
            root = finish(merge_values(root, tree, ROOT, ""), ROOT)
        assert isinstance(root, Mapping)
        check_required(root)
        root = set_defaults(root)
        check_objects(root)
        root = resolve_paths(root, Folder(folder, self._source.home))
        return take_from_environment(root, environment.get) if self._interpolates else root

    def _prepared(
        self, document: Mapping, environment: dict[str, str], base: Node | None = None
    ) -> Mapping:
        tree: Node = without_empty(without_kept(document), base, ROOT)
        if self._interpolates:
            tree = interpolate_tree(tree, environment.get, self._note_unset)
            tree = cast(tree, ROOT)
        assert isinstance(tree, Mapping)
        check_structure(tree)
        return write_out(tree)

    def _services_of(self, file: str, wanted: str, environment: dict[str, str]) -> Mapping:
        """Read a service of another file and those of the same file that it extends."""
        content = self._source.read_file(file)
        if content is None:
            raise ComposeError(f"{file}: there is no such file to extend a service of")
        root: Node | None = None
        for document in _read(file, content):
            tree = self._prepared(extended_part(_top_map(document, file), wanted), environment)
            root = tree if root is None else merge_values(root, tree, ROOT, "")
        services = map_at(root, "services")
        if services is None:
            raise ComposeError(f"{file}: has no services to extend")
        return services

    def _included(
        self, tree: Mapping, folder: str, environment: dict[str, str], including: tuple[str, ...]
    ) -> Mapping:
        for index, item in enumerate(items_at(tree, "include")):
            path = f"include[{index}]"
            if isinstance(item, Mapping):
                loaded = self._include(item, path, folder, environment, including)
                tree = _imported(tree, loaded, path, item.mark)
        return without(tree, "include")

    def _include(
        self,
        item: Mapping,
        path: str,
        folder: str,
        environment: dict[str, str],
        including: tuple[str, ...],
    ) -> Mapping:
        start = Folder(folder, self._source.home)
        files = [start.absolute(text) for text in _texts(item, "path")]
        if not files:
            raise fail(item.mark, path, "names no file: give a path")
        own_folder = posixpath.dirname(files[0])
        if text_at(item, "project_directory"):
            own_folder = start.absolute(text_at(item, "project_directory"))
        if files[0] in (start.absolute(one) for one in including):
            names = " -> ".join((*including, files[0]))
            raise fail(item.mark, path, f"files include each other: {names}")
        documents: list[tuple[str, Mapping]] = []
        for file in files:
            content = self._source.read_file(file)
            if content is None:
                raise fail(item.mark, path, f"there is no file {file}")
            documents += [(file, _top_map(one, file)) for one in _read(file, content)]
        named = [start.absolute(text) for text in _texts(item, "env_file")]
        own = {**self._env_file_values(item, path, named, own_folder, environment), **environment}
        return self.project(documents, own_folder, own, including)

    def _env_file_values(
        self, item: Mapping, path: str, named: list[str], folder: str, outside: dict[str, str]
    ) -> dict[str, str]:
        values: dict[str, str] = {}
        for file in named or [posixpath.join(folder, ".env")]:
            content = self._source.read_file(file)
            if content is None:
                if not named:
                    continue
                raise fail(item.mark, f"{path}.env_file", f"there is no file {file}")
            text = content.decode(errors="replace")
            values.update(read_env_text(text, file, {**values, **outside}))
        return values

    def _note_unset(self, name: str, mark: Mark) -> None:
        if name not in self._unset:
            self._unset.add(name)
            problem = f"the variable {name} is not set: an empty text stands for it"
            self._notice(Notice(mark, problem))

    def _notice(self, notice: Notice) -> None:
        if notice not in self.notices:
            self.notices.append(notice)


def _texts(node: Node, key: str) -> list[str]:
    return [item.text for item in items_at(node, key) if isinstance(item, Scalar)]


def _imported(tree: Mapping, other: Mapping, path: str, mark: Mark) -> Mapping:
    """Take the services and objects of an included project over."""
    for kind in _IMPORTED:
        section, own = map_at(other, kind), map_at(tree, kind)
        if section is None:
            continue
        entries = dict(own.entries) if own is not None else {}
        for name, entry in section.entries.items():
            known = entries.get(name)
            if known is not None and to_plain(known.value) != to_plain(entry.value):
                problem = f"{kind}.{name} is defined in {known.key_mark} too, and differently"
                raise fail(mark, path, problem)
            entries.setdefault(name, entry)
        whole = dict(tree.entries)
        section_mark = own.mark if own is not None else section.mark
        whole[kind] = Entry(section_mark, Mapping(entries, section_mark))
        tree = Mapping(whole, tree.mark, tree.tag)
    return tree


_STACK_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def _project_name(source: Source, documents: list[Mapping], options: Options) -> str:
    asked = options.stack or source.environment.get("COMPOSE_PROJECT_NAME", "")
    if asked:
        if not _STACK_NAME.fullmatch(asked):
            raise UsageError(f"stack name {asked!r}: use letters, digits, '-', '_' and '.'")
        return asked
    named = [node for node in (document.get("name") for document in documents) if node]
    if named:
        value = interpolate_tree(named[-1], source.environment.get, lambda _name, _mark: None)
        if not isinstance(value, Scalar):
            raise fail(value.mark, "name", f"must be text, not {kind_of(value)}")
        name = _normalised(value.text)
        if value.text and not name:
            raise fail(value.mark, "name", f"{value.text!r} holds no letter or digit")
        if name:
            return name
    name = _normalised(posixpath.basename(source.folder.replace("\\", "/").rstrip("/")))
    if not name:
        raise UsageError(f"the folder {source.folder!r} gives no stack name: name the stack")
    return name


def _normalised(text: str) -> str:
    """A name in the letters Compose allows: lower case, digits, '-' and '_'."""
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")
