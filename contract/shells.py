"""What is said about a shell in a job's place, from the command to the machine and back.

    pesc_exec ── WebSocket, /v1/jobs/N/exec ── schedd ── the startd's WebSocket ── startd

The command asks (`AskShell`); the schedd says who and what to the machine (`OpenShell`), and
then passes on what both ends say. Between command and schedd `shell` is 0.

SHELL-1: a sender has at most WINDOW_BYTES on their way, by `cost`; more may follow as far as
         `ShellTaken` says that the other end has passed on what came. So neither a slow reader
         nor a slow program fills the memory of anybody between them.
SHELL-2: `ShellOver` is the last thing said of a shell; all of its output came before.
SHELL-3: when either connection breaks the shell is ended; it is never taken up again.
"""

import msgspec

from contract.vocabulary import RunId

WINDOW_BYTES = 256 * 1024
CHUNK_BYTES = 32 * 1024
"""The most that one message carries: others on the same connection wait no longer than for that."""

CHUNK_COST = 256
"""What a message costs beside its bytes, so that many small ones are bounded too."""

MOST_ON_THEIR_WAY = WINDOW_BYTES + CHUNK_BYTES + CHUNK_COST
"""A sender looks before a message whether the window is open, not whether all of the message fits in."""

MOST_ARGUMENT_BYTES = 64 * 1024
MOST_ROWS = 10_000

SHELL = ["/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec sh"]
"""What is started when no command was given: bash, where there is one."""


class AskShell(msgspec.Struct, frozen=True, tag="ask_shell", omit_defaults=True):
    """First message of the command: what to start; no `argv`: a shell."""

    argv: list[str] = []
    tty: bool = False
    rows: int = 24
    columns: int = 80
    term: str = ""


class OpenShell(msgspec.Struct, frozen=True, tag="open_shell"):
    """Start this in the place of a run."""

    shell: int
    run: RunId
    argv: list[str]
    tty: bool
    rows: int
    columns: int
    term: str


class ShellInput(msgspec.Struct, frozen=True, tag="shell_in", omit_defaults=True):
    """What the user typed or piped; `last`: that was all."""

    shell: int
    data: bytes
    last: bool = False


class ShellResized(msgspec.Struct, frozen=True, tag="shell_size"):
    """The user's window changed."""

    shell: int
    rows: int
    columns: int


class ShellTaken(msgspec.Struct, frozen=True, tag="shell_taken"):
    """So much of what came, by `cost`, was passed on."""

    shell: int
    cost: int


class CloseShell(msgspec.Struct, frozen=True, tag="close_shell"):
    """The user is gone: end it."""

    shell: int


class ShellOutput(msgspec.Struct, frozen=True, tag="shell_out", omit_defaults=True):
    """What the command wrote to stdout (with a terminal: all), or to stderr."""

    shell: int
    data: bytes
    error: bool = False


class ShellOver(msgspec.Struct, frozen=True, tag="shell_over", omit_defaults=True):
    """It is over. Neither code nor signal: it did not come to its own end, and `message` says why."""

    shell: int
    code: int | None = None
    signal: int | None = None
    message: str = ""
    started: bool = True


FromUser = AskShell | ShellInput | ShellResized | ShellTaken
ToUser = ShellOutput | ShellTaken | ShellOver
ToShell = OpenShell | ShellInput | ShellResized | ShellTaken | CloseShell

encode = msgspec.json.Encoder().encode
decode_from_user = msgspec.json.Decoder(list[FromUser]).decode
decode_to_user = msgspec.json.Decoder(list[ToUser]).decode


def cost(data: bytes) -> int:
    """How much of the window these bytes take."""
    return len(data) + CHUNK_COST
