"""Which attributes an expression depends on: those of its own ad, and those it expects from elsewhere."""

from __future__ import annotations

from dsl.classad.ad import Ad
from dsl.classad.expression import Expression
from dsl.classad.text import text_of
from dsl.classad.tree import RecordTree, Reference, Select, Tree, children

_BUILT_IN = frozenset({"my", "parent", "currenttime"})


def references(expression: Expression, ad: Ad) -> tuple[set[str], set[str]]:
    """Return the names that `ad` defines and the others; what is asked of the other ad keeps its `TARGET.`.

    Attributes of `ad` are followed: what they depend on counts too.
    """
    walk = _Walk(ad)
    walk.tree(expression.tree, ())
    return set(walk.internal.values()), set(walk.external.values())


class _Walk:
    def __init__(self, ad: Ad) -> None:
        self.ad = ad
        self.internal: dict[str, str] = {}
        self.external: dict[str, str] = {}
        self.followed: set[int] = set()
        self.waiting: list[tuple[Tree, tuple[RecordTree, ...]]] = []

    def tree(self, tree: Tree, around: tuple[RecordTree, ...]) -> None:
        """Note what `tree` refers to, seen from inside the records `around` it."""
        self.waiting.append((tree, around))
        while self.waiting:
            here, records = self.waiting.pop()
            match here:
                case Reference(name):
                    self.name(name, [], name, records)
                case Select():
                    self.selection(here, records)
                case RecordTree():
                    self.waiting.extend((part, (here, *records)) for part in reversed(children(here)))
                case _:
                    self.waiting.extend((part, records) for part in reversed(children(here)))

    def selection(self, tree: Select, around: tuple[RecordTree, ...]) -> None:
        names: list[str] = []
        base: Tree = tree
        while isinstance(base, Select):
            names.insert(0, base.name)
            base = base.record
        if not isinstance(base, Reference):
            self.waiting.append((base, around))
            if isinstance(base, RecordTree) and not _part(base, names[0]):
                self.name(names[0], names[1:], names[0], around)
        elif base.name.lower() == "my":
            self.name(names[0], names[1:], ".".join(names), around)
        else:
            self.name(base.name, names, text_of(tree), around)

    def name(self, name: str, selected: list[str], whole: str, around: tuple[RecordTree, ...]) -> None:
        """Note one name, and follow it to the part that `selected` names of what it stands for."""
        key = name.lower()
        if any(key == own.lower() for record in around for own, _ in record.items):
            return
        expression = self.ad.find(key)
        if expression is not None:
            self.internal.setdefault(key, name)
            self.follow(expression.tree, selected)
        elif key not in _BUILT_IN:
            self.external.setdefault(whole.lower(), whole)

    def follow(self, tree: Tree, selected: list[str]) -> None:
        around: tuple[RecordTree, ...] = ()
        for index, name in enumerate(selected):
            if not isinstance(tree, RecordTree):
                break
            around = (tree, *around)
            while around and not _part(around[0], name):
                around = around[1:]
            if not around:
                self.name(name, selected[index + 1 :], name, ())
                return
            tree = _part(around[0], name) or tree
        if id(tree) not in self.followed:
            self.followed.add(id(tree))
            self.waiting.append((tree, around))


def _part(record: RecordTree, name: str) -> Tree | None:
    return next((item for own, item in record.items if own.lower() == name.lower()), None)
