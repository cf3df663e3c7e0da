"""From a cluster to its jobs: what differs from job to job, made when a job is looked at.

The schedd runs this on what was sent to it, so nothing is taken on trust: whatever the
cluster says, the only exception is `SubmitErrors`, and time and memory are bounded.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from dsl.submit.attributes import READ_BY_MAKERS, file_list, makers_for
from dsl.submit.expressions import BadExpression, check, value_of
from dsl.submit.given import Given, Wrong
from dsl.submit.macros import JOB_NAMES, MAX_WORK, BadMacro, Program, Scope, Slot
from dsl.submit.mistakes import Mistake, SubmitErrors, shown
from dsl.submit.sweeps import AxisLike, BadSweep, Rows
from dsl.submit.table import is_resource
from dsl.submit.transfer import is_address

_ATTRIBUTE = re.compile(r"[A-Za-z0-9_]{1,255}\Z")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Expander:
    """Makes the attributes that differ, of any job of one cluster.

    `varying` holds commands (`output`) and own attributes (`+Tag`) as they were written; a
    command that does not differ itself is among them if an attribute needs it together
    with one that does.
    """

    def __init__(self, varying: Mapping[str, str], macros: Mapping[str, str],
                 item_names: Sequence[str], items: Sequence[Sequence[str]], steps: int, cluster: int = 0,
                 sweep: Sequence[AxisLike] = ()) -> None:
        self._rows: Rows | None = None
        if sweep:
            try:
                self._rows = Rows(sweep)
            except BadSweep as bad:
                raise self._errors("sweep", None, str(bad)) from None
            item_names, items = self._rows.names, self._rows
        self._items = items
        self._names = [name.lower() for name in item_names]
        self._steps = max(1, steps)
        self.cluster = cluster
        self.scope = Scope({name.lower() if not name.startswith("env:") else name: text
                            for name, text in macros.items()}, JOB_NAMES | frozenset(self._names))
        for name, text in macros.items():
            if "\0" in text:
                raise self._errors(shown(name), None, "a NUL byte in the text")
        self._programs: dict[str, Program] = {}
        self._own: list[tuple[str, Program]] = []
        for command, text in varying.items():
            self._compile(command, text)
        self._makers = [maker for maker in makers_for(varying)
                        if not self._programs.keys().isdisjoint(maker.reads)]

    def _compile(self, command: str, text: str) -> None:
        try:
            program = self.scope.program(text)
        except BadMacro as bad:
            raise self._errors(command, None, bad.what, bad.why, bad.cure) from None
        if command.startswith("+") and _ATTRIBUTE.match(command[1:]):
            self._own.append((command[1:], program))
        elif command in READ_BY_MAKERS or (is_resource(command) and _ATTRIBUTE.match(command)):
            self._programs[command] = program
        else:
            raise self._errors(command, None, f'"{shown(command)}" is no command that may differ from job to job')

    def attributes(self, cluster: int, proc: int) -> dict[str, str]:
        """The attributes of job `proc` that are not in the template, as ClassAd text."""
        values = self.values(cluster, proc)
        given = Given(self.scope, self._programs, values)
        made: dict[str, str] = {}
        try:
            for maker in self._makers:
                made.update(maker.make(given))
            for name, program in self._own:
                text = self.scope.expand(program, values)
                if text or not _is_of_a_queue_line(program):
                    made[name] = own_value(name, text)
            if self._rows is not None:
                made["PescRow"] = self._rows.record(proc // self._steps)
        except Wrong as wrong:
            raise self._errors(wrong.command, proc, wrong.what, wrong.why, wrong.cure) from None
        except BadMacro as bad:
            raise self._errors("", proc, bad.what, bad.why, bad.cure) from None
        return made

    def row(self, proc: int) -> tuple[str, int]:
        """The job's row of a sweep as JSON, and which repetition of that row it is; "" and 0 where there is none."""
        if self._rows is None:
            return "", 0
        index, repetition = divmod(proc, self._steps)
        return self._rows.json(index), repetition

    def values(self, cluster: int, proc: int) -> dict[str, str]:
        """What the job's own macros stand for; with them begins what its functions may do."""
        self.scope.work = MAX_WORK
        index, step = divmod(proc, self._steps)
        text, number = str(proc), str(index)
        cluster_text = str(cluster)
        values = {"process": text, "procid": text, "cluster": cluster_text, "clusterid": cluster_text,
                  "step": str(step), "row": number, "itemindex": number, "jobid": f"{cluster_text}.{text}",
                  "node": "#pArAlLeLnOdE#"}
        if self._names or self._rows is not None:
            if not 0 <= index < len(self._items):
                raise self._errors("", proc, f"there is no job {proc}: the cluster has {len(self._items)} items")
            values.update(zip(self._names, self._items[index], strict=False))
        return values

    def _errors(self, command: str, proc: int | None, what: str, why: str = "", cure: str = "") -> SubmitErrors:
        where = f"{command} of job {proc}" if command and proc is not None else command or f"job {proc}"
        return SubmitErrors([Mistake(where, 0, 0, what, why, cure)])


def _is_of_a_queue_line(program: Program) -> bool:
    """Whether an attribute stands for what one of several queue lines set: then it may be missing at others."""
    node = program.nodes[0] if len(program.nodes) == 1 else None
    return isinstance(node, Slot) and node.name.startswith("my.")


def own_value(name: str, text: str) -> str:
    """The expression given to `+Name`."""
    text = text.strip()
    if not text:
        return "undefined"
    try:
        check(text)
    except BadExpression as bad:
        raise Wrong(f"+{name}", bad.message, bad.reason, offset=bad.offset, length=1) from None
    return text



Role = Literal["process", "executable", "file"]
"""What a path that travels is for."""


def paths_of(attributes: Mapping[str, str]) -> Iterator[tuple[str, Role]]:
    """The absolute paths that travel with a job, from its attributes, and what each is for."""
    folder = plain_text(attributes.get("Iwd", '"/"'))
    program, standard_input = plain_text(attributes.get("Cmd", "")), plain_text(attributes.get("In", ""))
    if program and attributes.get("TransferExecutable") != "false":
        yield program, "process" if "PescProcess" in attributes else "executable"
    if standard_input and standard_input != "/dev/null":
        yield posixpath.normpath(posixpath.join(folder, standard_input)), "file"
    for path in file_list(plain_text(attributes.get("TransferInput", ""))):
        if is_address(path):
            continue
        yield posixpath.normpath(posixpath.join(folder, path)), "file"
    for literal in _STRING.findall(attributes.get("PescSharedFiles", "")):
        yield plain_text(literal), "file"


def plain_text(literal: str) -> str:
    """The text of a ClassAd string literal, "" if it is none."""
    if len(literal) < 2 or literal[0] != '"':
        return ""
    inner = literal[1:-1]
    if "\\" not in inner:
        return inner
    value = value_of(literal)
    return value if isinstance(value, str) else ""

