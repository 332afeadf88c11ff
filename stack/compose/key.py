"""What a row of the key table says about a key of the Compose Specification."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from stack.compose.record import Record


class Status(Enum):
    """What this version does with a key when a stack is deployed."""

    APPLIED = auto()  # it shapes the stack
    STORED = auto()  # it goes into the service, but nothing in stackd acts on it yet: a warning
    IGNORED = auto()  # it is not applied: a warning
    SILENT = auto()  # it has no meaning for a stack: no warning
    REJECTED = auto()  # leaving it out would make another application: an error


class Value(Enum):
    """What a value is once it is canonical, and so how it is checked, cast and printed."""

    ANY = auto()  # not looked into
    TEXT = auto()
    BOOLEAN = auto()  # or text that says so
    INTEGER = auto()  # or text that holds one
    NUMBER = auto()  # or text that holds one
    SIZE = auto()  # bytes, with a unit or without
    DURATION = auto()  # text with a unit
    MODE = auto()  # permissions of a file, octal
    TEXTS = auto()  # a list of texts
    WORDS = auto()  # a command: a list of texts, or one text split like a shell does
    TEXT_MAP = auto()  # a map of texts, or a list of K=V
    OPTION_MAP = auto()  # a map of texts and numbers
    MAP = auto()  # a map with the keys of `children`, or with free keys and values like `each`
    LIST = auto()  # a list of values like `items`


class Form(Enum):
    """Which shorter spelling a value may have; the loader writes all of them out."""

    PLAIN = auto()
    ONE_OR_LIST = auto()  # "a" -> ["a"]
    ADDRESSES = auto()  # the same, and empty ones are left out
    KEY_VALUES = auto()  # list of "K=V" -> map
    NAMES = auto()  # list of names -> map with empty values
    DEPENDENCIES = auto()  # list of services -> map with the default condition
    PORTS = auto()  # "8080:80" -> map
    VOLUMES = auto()  # "data:/var/lib:ro" -> map
    BUILD = auto()  # path -> map
    EXTENDS = auto()  # name -> map
    ENV_FILES = auto()  # path or list of paths -> list of maps
    FILE_REFERENCES = auto()  # names of configs or secrets -> maps
    DEVICES = auto()  # "/dev/a:/dev/b:rw" -> map
    GPUS = auto()  # "all" -> list of maps
    HOSTS = auto()  # "name:address", "name=address" or a map -> list of "name=address"
    EXTERNAL = auto()  # a map with a name -> true, with the name beside it
    TEST = auto()  # text -> ["CMD-SHELL", text]
    INCLUDES = auto()  # paths -> maps


class Merge(Enum):
    """How a later file's value meets an earlier one's."""

    DEEP = auto()  # maps key by key, lists appended, scalars replaced
    REPLACE = auto()  # the later value stands alone
    APPEND = auto()  # both as lists, one behind the other
    LOGGING = auto()  # deep when the driver is the same, else replaced
    ULIMIT = auto()  # deep when both are maps, else replaced
    SUBNET = auto()  # lists of maps; those of the same subnet merge


class Unique(Enum):
    """By what two items of a list are the same; the later one wins, at the earlier one's place."""

    NOTHING = auto()
    TEXT = auto()  # the whole text
    NAME = auto()  # the part before "=", or the whole text
    PORT = auto()  # address, published and target port, protocol
    TARGET = auto()  # the path inside the container
    SECRET = auto()  # the same, below /run/secrets
    PATH = auto()  # of an env_file: the earlier one stays


class Key(Record):
    """One row: a key, and the rows below it.

    A value whose row has neither `children` nor `each` nor `items` is not looked into.
    """

    status: Status = Status.APPLIED
    note: str = ""  # completes the message "… not applied"
    value: Value = Value.ANY
    form: Form = Form.PLAIN
    merge: Merge = Merge.DEEP
    unique: Unique = Unique.NOTHING
    # structure
    children: Mapping[str, Key] | None = None  # the keys of a map with fixed keys
    each: Key | None = None  # every value of a map with free keys
    items: Key | None = None  # every item of a list
    required: tuple[str, ...] = ()  # of the children
    # checks beyond the kind of value
    accepts: str = ""  # JSON types, joined by "|", when others than the value's usual ones
    choices: tuple[str, ...] = ()
    pattern: str = ""  # found somewhere in the text
    lowest: int | None = None
    highest: int | None = None
    distinct: bool = False  # the list may not hold the same item twice
    names: str = r"^[a-zA-Z0-9._-]+$"  # free keys; "" for any
    extensible: bool = True  # keys with x- may stand here
    # canonical output
    nullable: bool = False  # a map may hold names without a value
    keep: bool = False  # shown also when false, 0 or empty

    def child(self, name: str) -> Key:
        """The row of a key below this one; a row that says nothing when there is none."""
        if self.children is not None and name in self.children:
            return self.children[name]
        return self.each or UNTABLED


UNTABLED = Key()
