"""Registries: one table of names for every kind of object that a file or a configuration can name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from gnnspin.core.errors import InvalidInput

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects of one kind by name, those of other installed packages included.

    A package outside this repository adds its objects by an entry point of the registry's group, which names a module
    that calls `register`, or the object itself; or a script calls `register` before the name is used.

    Parameters
    ----------
    kind : str
        What the objects are called in errors, such as ``"model"``.
    group : str
        Entry-point group that is loaded at the first unknown name and before the names are listed.

    Examples
    --------
    >>> shapes = Registry("shape", "gnnspin.example_shapes")
    >>> shapes.register("round", float)
    <class 'float'>
    >>> shapes["round"], shapes.names()
    (<class 'float'>, ('round',))
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._known: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str, value: T) -> T:
        """Add `value` under `name` and return it.

        Raises
        ------
        InvalidInput
            If the name is empty or belongs to another object.
        """
        if not name:
            raise InvalidInput(f"a {self.kind} needs a name to be registered by; {value!r} has none")
        taken = self._known.get(name, value)
        if taken is not value and _origin(taken) != _origin(value):
            raise InvalidInput(f"the {self.kind} name {name!r} belongs to {taken!r}; choose another name")
        self._known[name] = value
        return value

    def registered(self, name: str) -> Callable[[T], T]:
        """Decorator: `register` what follows under `name`."""
        return lambda value: self.register(name, value)

    def __getitem__(self, name: str) -> T:
        if name not in self._known:
            self._load()
        if name not in self._known:
            raise InvalidInput(
                f"{self.kind} {name!r} is unknown; known: {', '.join(sorted(self._known))}; one of yours is known once "
                f"its module is imported, or named in the entry points {self.group!r} of an installed package"
            )
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._known:
            self._load()
        return name in self._known

    def names(self) -> tuple[str, ...]:
        """All names, in alphabetical order."""
        self._load()
        return tuple(sorted(self._known))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _load(self) -> None:
        """Load the entry points of other packages, once; InvalidInput names the one that cannot be loaded."""
        if self._loaded:
            return
        self._loaded = True  # now, since what is loaded may look names up
        for entry in entry_points(group=self.group):
            try:
                value = entry.load()
            except Exception as error:
                self._loaded = False
                raise InvalidInput(
                    f"the {self.kind} {entry.name!r} of another package ({entry.value}) cannot be loaded: "
                    f"{type(error).__name__}: {error}; mend or uninstall that package"
                ) from error
            if entry.name not in self._known and not hasattr(value, "__path__") and not hasattr(value, "__spec__"):
                self.register(entry.name, value)


def _origin(value: object) -> tuple[str, str]:
    """Where a class or function was defined: a module that is loaded again defines the same one."""
    return getattr(value, "__module__", ""), getattr(value, "__qualname__", repr(value))
