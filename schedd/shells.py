"""The shells that are open, as the schedd passes on what their two ends say.

`contract.shells` has the rules. Neither end is trusted to keep them: what was not allowed by
the window ends the shell, so nobody can make the schedd hold more of it than that.
"""

import asyncio
import itertools
from collections import deque

from contract.messages import FromStartd
from contract.problems import Problem
from contract.shells import (
    MOST_ON_THEIR_WAY,
    AskShell,
    CloseShell,
    FromUser,
    OpenShell,
    ShellInput,
    ShellOutput,
    ShellOver,
    ShellResized,
    ShellTaken,
    ToShell,
    ToUser,
    cost,
)
from contract.vocabulary import RunId
from schedd.links import Link, Links

LEAVE_SECONDS = 2.0
MACHINE_GONE = "the connection to its machine broke."


class Shell:
    """One shell: what waits for the user, and how much is on its way in each direction."""

    def __init__(self, number: int, link: Link | None, run: RunId, asked: AskShell) -> None:
        self.number = number
        self.link = link
        self.over: ShellOver | None = None
        self.news = asyncio.Event()
        self._outgoing: deque[ShellOutput] = deque()
        self._taken = 0
        self._to_user = self._to_machine = 0
        self._post(OpenShell(number, run, asked.argv, asked.tty, asked.rows, asked.columns, asked.term))
        if link is None:
            self.end(MACHINE_GONE)

    def from_machine(self, message: ShellOutput | ShellTaken | ShellOver) -> None:
        if self.over is not None:
            return
        match message:
            case ShellOutput(_, data):
                self._to_user += cost(data)
                self._outgoing.append(message)
            case ShellTaken(_, taken):
                self._to_machine -= taken
                self._taken += taken
            case ShellOver():
                self.over = message
        if self._to_user > MOST_ON_THEIR_WAY or self._to_machine < 0 or self._taken < 0:
            self.end("its machine did not keep to the rules.")
        self.news.set()

    async def from_user(self, message: FromUser) -> None:
        """Pass it on; returns when it is on its way, so that a user is read no faster than its machine."""
        match message:
            case ShellInput(_, data, last):
                self._to_machine += cost(data)
                self._post(ShellInput(self.number, data, last))
            case ShellResized(_, rows, columns):
                self._post(ShellResized(self.number, rows, columns))
            case ShellTaken(_, taken):
                self._to_user -= taken
                self._post(ShellTaken(self.number, taken))
            case AskShell():
                raise Problem("bad_request", "A second shell was asked for on one connection.", "Open another one.")
        if self._to_machine > MOST_ON_THEIR_WAY or self._to_user < 0 or self._to_user > MOST_ON_THEIR_WAY:
            raise Problem("bad_request", "More was sent, or taken, than was allowed.",
                          "Wait for ShellTaken; see contract/shells.py.")
        if self.link is not None:
            await self.link.on_its_way()

    def waiting(self) -> list[ToUser]:
        """What the user is to be told now; the end comes after all output."""
        self.news.clear()
        said: list[ToUser] = []
        if self._taken:
            said.append(ShellTaken(0, self._taken))
            self._taken = 0
        while self._outgoing:
            message = self._outgoing.popleft()
            said.append(ShellOutput(0, message.data, message.error))
        if self.over is not None:
            said.append(ShellOver(0, self.over.code, self.over.signal, self.over.message, self.over.started))
        return said

    def end(self, why: str) -> ShellOver:
        """End it from here, unless it is over: its machine is told, and so is the user."""
        if self.over is None:
            self.over = ShellOver(self.number, message=f"The shell was ended: {why}")
            self._post(CloseShell(self.number))
            self.news.set()
        return self.over

    def _post(self, message: ToShell) -> None:
        if self.link is not None:
            self.link.post([message])


class Shells:
    """All shells that are open."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._numbers = itertools.count(1)
        self._shells: dict[int, Shell] = {}
        self._none_left = asyncio.Event()

    def open(self, link: int, run: RunId, asked: AskShell) -> Shell:
        """Ask the machine behind this link for a shell."""
        shell = Shell(next(self._numbers), self._links.all.get(link), run, asked)
        self._shells[shell.number] = shell
        self._none_left.clear()
        return shell

    def leave(self, shell: Shell) -> ShellOver:
        """Its user is gone, or knows that it is over; how it ended."""
        over = shell.end("its user hung up.")
        self._shells.pop(shell.number, None)
        if not self._shells:
            self._none_left.set()
        return over

    def heard(self, link: Link, message: FromStartd) -> None:
        """What a machine says of one of its shells; those of others are none of its business."""
        if isinstance(message, ShellOutput | ShellTaken | ShellOver):
            shell = self._shells.get(message.shell)
            if shell is not None and shell.link is link:
                shell.from_machine(message)

    def link_gone(self, link: Link) -> None:
        for shell in list(self._shells.values()):
            if shell.link is link:
                shell.end(MACHINE_GONE)

    async def close_all(self) -> None:
        """The schedd leaves: end all shells, and give their users a moment to hear of it."""
        for shell in list(self._shells.values()):
            shell.end("the schedd was told to stop.")
        if self._shells:
            try:
                await asyncio.wait_for(self._none_left.wait(), LEAVE_SECONDS)
            except TimeoutError:
                return
