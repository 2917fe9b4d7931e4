"""The tree of a Bicep file."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Node:
    """An expression; `line` is where it begins."""

    line: int


@dataclass(frozen=True)
class Literal(Node):
    value: object


@dataclass(frozen=True)
class Text(Node):
    """A string: constant pieces and interpolated expressions."""

    parts: tuple["str | Node", ...]


@dataclass(frozen=True)
class Name(Node):
    name: str


@dataclass(frozen=True)
class Call(Node):
    """`name(...)`, or `on.name(...)`."""

    name: str
    arguments: tuple[Node, ...]
    on: Node | None = None


@dataclass(frozen=True)
class Member(Node):
    on: Node
    name: str
    safe: bool


@dataclass(frozen=True)
class Index(Node):
    on: Node
    index: Node


@dataclass(frozen=True)
class Operation(Node):
    sign: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Choice(Node):
    """`condition ? yes : no`"""

    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True)
class Array(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Object(Node):
    """Pairs in the order of the file; a key may be interpolated."""

    pairs: tuple[tuple[Node, Node], ...]

    def get(self, key: str) -> Node | None:
        for name, value in self.pairs:
            if isinstance(name, Text) and name.parts == (key,):
                return value
        return None


@dataclass(frozen=True)
class Loop(Node):
    """`[for item in source: body]`"""

    item: str
    index: str | None
    source: Node
    body: Node


@dataclass(frozen=True)
class Condition(Node):
    """`if (condition) body`"""

    condition: Node
    body: Node


@dataclass(frozen=True)
class Lambda(Node):
    parameters: tuple[str, ...]
    body: Node


@dataclass(frozen=True)
class Statement:
    """One declaration; `kind` is its first word, such as param or resource."""

    kind: str
    name: str
    line: int
    type: str = ""  # of a param or output; type@version of a resource; path of a module
    value: Node | None = None
    existing: bool = False
    decorators: dict[str, tuple[Node, ...]] = field(default_factory=dict)
