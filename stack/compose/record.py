"""Small immutable records of the loader.

``stack config`` ends sooner than a schema library is imported, so what runs before a project is
translated holds its values in these; the model and the API's bodies are msgspec structs.
"""

from __future__ import annotations

from typing import Any, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Record:
    """Named values, by position or by name; those that are not given are the class's own.

    The type checker sees to it that all are there and that none is set later.
    """

    _names: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls._names = (*cls._names, *(name for name in cls.__annotations__ if name[0] != "_"))

    def __init__(self, *values: Any, **named: Any) -> None:
        self.__dict__.update(zip(self._names, values, strict=False))
        self.__dict__.update(named)

    def replaced(self, **changes: object) -> Self:
        """The same with some values changed."""
        return type(self)(**{**self.__dict__, **changes})

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._names)

    def __hash__(self) -> int:
        """Raises TypeError when a value has none."""
        return hash(tuple(getattr(self, name) for name in self._names))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.__dict__})"
