"""Generic resources: what a node has of kinds that only its owner knows, counted or by name.

A node has either a number of equal ones (`ssd=4`) or some with names (`gpu=a, gpu=b`).  A task
asks for a number of a kind, or for certain names; what it gets is recorded with it, so that its
container can be told and the same names are given to nobody else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from cluster.model.resources import DiscreteResource, GenericResource, NamedResource
from cluster.model.spec_struct import ObjectStruct


class Wish(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What a task asks for: numbers by kind, and names by kind."""

    numbers: Mapping[str, int] = {}
    names: Mapping[str, tuple[str, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self.numbers or self.names)


NO_WISH = Wish()


class Stock:
    """What is free on a node; numbers may fall below zero, as reservations can be overdrawn."""

    __slots__ = ("names", "numbers")

    def __init__(self, resources: Iterable[GenericResource] = ()) -> None:
        """Begin with `resources`."""
        wish = wish_of(resources)
        self.numbers: dict[str, int] = dict(wish.numbers)
        self.names: dict[str, tuple[str, ...]] = dict(wish.names)

    def copy(self) -> Stock:
        """Return a stock that can be changed by itself."""
        other = Stock()
        other.numbers = self.numbers.copy()
        other.names = self.names.copy()
        return other

    def covers(self, wish: Wish, allowed: Stock | None = None) -> bool:
        """Whether `wish` can be had, from this stock or what is `allowed` beside it."""
        for kind in {*wish.numbers, *wish.names}:
            free = self._names_with(kind, allowed)
            wanted = wish.names.get(kind, ())
            if not set(wanted) <= set(free):
                return False
            number = self.numbers.get(kind, 0) + (allowed.numbers.get(kind, 0) if allowed else 0)
            if wish.numbers.get(kind, 0) + len(wanted) > number + len(free):
                return False
        return True

    def take(self, wish: Wish, allowed: Stock | None = None) -> tuple[GenericResource, ...]:
        """Take what `covers` has granted and return it: names where the node has such."""
        taken: list[GenericResource] = []
        for kind in sorted({*wish.numbers, *wish.names}):
            wanted = wish.names.get(kind, ())
            number = wish.numbers.get(kind, 0)
            free = [name for name in self._names_with(kind, allowed) if name not in wanted]
            chosen = sorted((*wanted, *free[:number]))
            taken += map(_named, (kind,) * len(chosen), chosen)
            self._drop_names(kind, chosen)
            counted = number - min(number, len(free))
            if counted:
                taken.append(_discrete(kind, counted))
                self.numbers[kind] = self.numbers.get(kind, 0) - counted
        return tuple(taken)

    def hold(self, resources: Iterable[GenericResource]) -> None:
        """Take what a task was given before."""
        wish = wish_of(resources)
        for kind, names in wish.names.items():
            self._drop_names(kind, names)
        for kind, number in wish.numbers.items():
            self.numbers[kind] = self.numbers.get(kind, 0) - number

    def _names_with(self, kind: str, allowed: Stock | None) -> tuple[str, ...]:
        own = self.names.get(kind, ())
        if allowed is None:
            return own
        return (*own, *(name for name in allowed.names.get(kind, ()) if name not in own))

    def _drop_names(self, kind: str, gone: Iterable[str]) -> None:
        left = self.names.get(kind)
        if left:
            gone = set(gone)
            self.names[kind] = tuple(name for name in left if name not in gone)


def wish_of(resources: Iterable[GenericResource]) -> Wish:
    """Add resources up by kind."""
    numbers: Counter[str] = Counter()
    names: defaultdict[str, list[str]] = defaultdict(list)
    for resource in resources:
        if resource.named_resource_spec is not None:
            names[resource.named_resource_spec.kind].append(resource.named_resource_spec.value)
        elif resource.discrete_resource_spec is not None:
            discrete = resource.discrete_resource_spec
            numbers[discrete.kind] += discrete.value
    if not (numbers or names):
        return NO_WISH
    by_kind = {kind: tuple(sorted(set(values))) for kind, values in names.items()}
    return Wish(numbers={kind: n for kind, n in numbers.items() if n}, names=by_kind)


def _named(kind: str, name: str) -> GenericResource:
    return GenericResource(named_resource_spec=NamedResource(kind=kind, value=name))


def _discrete(kind: str, number: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteResource(kind=kind, value=number))
