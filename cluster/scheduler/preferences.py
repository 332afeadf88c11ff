"""Spread preferences: tasks divided evenly over the values of labels, level by level.

The nodes form a tree, one level for each preference.  A task goes down the branch that has the
fewest tasks of its service, at every level, and is ranked among the nodes of the leaf it comes
to.  A branch where nothing fits any more leaves its share to the others.

The tree of nodes is the same for all services with equal preferences that ask for nodes of one
nature; what a group of tasks sees of it, the numbers of its service's tasks, is made as the
group comes to a branch.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cluster.model.constraint import attribute
from cluster.model.ids import NodeId, ServiceId
from cluster.scheduler.node_load import NodeLoad
from cluster.scheduler.ranking import Accepts, Choice, EmptiestFirst, Failures

Path = tuple[str, ...]
"""Values of labels from the root down; a node without a label has the value ''."""


class Tree:
    """Nodes by the values of some labels; without labels just one leaf."""

    def __init__(self, loads: Sequence[NodeLoad], spread_over: Sequence[str]) -> None:
        """Divide `loads` by the first of the labels, and so on below."""
        self.spread_over = tuple(spread_over)
        self.branches: dict[str, Tree] = {}
        self.order: EmptiestFirst | None = None
        if not spread_over:
            self.order = EmptiestFirst(loads)
            return
        by_value: defaultdict[str, list[NodeLoad]] = defaultdict(list)
        for load in loads:
            by_value[attribute(load.node, spread_over[0])].append(load)
        for value, inside in by_value.items():
            self.branches[value] = Tree(inside, spread_over[1:])

    def counts(self, service_id: ServiceId, loads: Iterable[NodeLoad]) -> Mapping[Path, int]:
        """Count tasks of a service by branch.

        Args:
            service_id: the service.
            loads: the nodes that carry its tasks, of this tree or not.
        """
        counts: Counter[Path] = Counter()
        if not self.spread_over:
            return counts
        for load in loads:
            number = load.tasks_of_service.get(service_id, 0)
            path: Path = ()
            for label in self.spread_over:
                path += (attribute(load.node, label),)
                counts[path] += number
        return counts


class Group:
    """One group of tasks that is given nodes of a tree; a context, as it borrows the tree."""

    def __init__(
        self,
        service_id: ServiceId,
        tree: Tree,
        counts: Mapping[Path, int],
        failures: Failures,
        homes: frozenset[NodeId],
    ) -> None:
        """Choose for tasks of a service; see `Choice` for `failures` and `homes`.

        Args:
            service_id: the group's service.
            tree: the eligible nodes.
            counts: of the service's tasks by branch.
            failures: the nodes to avoid.
            homes: nodes that may accept one task and refuse another.
        """
        self.service_id = service_id
        self.counts = counts
        self.failures = failures
        self.homes = homes
        self._choices: list[Choice] = []
        self._root = self.enter(tree, ())

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        for choice in self._choices:
            choice.close()

    def pick(self, accepts: Accepts) -> NodeLoad | None:
        """Choose a node that accepts; the caller counts the task there at once."""
        return self._root.pick(accepts)

    def enter(self, tree: Tree, path: Path) -> Branches | Choice:
        """Return what chooses among the nodes of a part of the tree."""
        if tree.order is None:
            return Branches(self, tree, path)
        choice = Choice(self.service_id, tree.order, self.failures, self.homes)
        self._choices.append(choice)
        return choice


class Branches:
    """What one group sees of the branches below one point of the tree."""

    def __init__(self, group: Group, tree: Tree, path: Path) -> None:
        """Look at the branches of `tree`, which is to be found by `path`."""
        self._group = group
        self._tree = tree
        self._path = path
        self._entered: dict[str, Branches | Choice] = {}
        self._heap = [(group.counts.get((*path, value), 0), value) for value in tree.branches]
        heapq.heapify(self._heap)

    @property
    def is_exhausted(self) -> bool:
        """Whether no node is left that might take a task."""
        return not self._heap

    def pick(self, accepts: Accepts) -> NodeLoad | None:
        """Choose a node in the branch with the fewest tasks that has one."""
        refused = []
        chosen: NodeLoad | None = None
        while self._heap:
            tasks, value = self._heap[0]
            child = self._entered.get(value)
            if child is None:
                path = (*self._path, value)
                child = self._group.enter(self._tree.branches[value], path)
                self._entered[value] = child
            chosen = child.pick(accepts)
            if chosen is not None:
                heapq.heapreplace(self._heap, (tasks + 1, value))
                break
            entry = heapq.heappop(self._heap)
            if not child.is_exhausted:
                refused.append(entry)
        for entry in refused:
            heapq.heappush(self._heap, entry)
        return chosen
