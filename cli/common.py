"""What every command shares: its arguments, its way to the pool, its manners when something is wrong.

A command is a function from its arguments to an exit code, handed to `run`:

    def main() -> int:
        return run("pesc_q", command)

Exit codes are the same everywhere: 0 done, 1 refused or failed, 2 wrongly called.
Nothing heavy is imported here: a command has a tenth of a second in all.
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from contract.problems import Problem
from contract.vocabulary import VERSION

if TYPE_CHECKING:
    from contract.client import Client

DONE, FAILED, WRONGLY_CALLED = 0, 1, 2
INTERRUPTED = 130
"""What a shell expects of a command that Ctrl-C ended."""
MOST_DIGITS = 15
PIPE_CLOSED = 141
"""What a shell expects of a command whose reader (`| head`) went away."""

Command = Callable[[list[str]], int]


def run(name: str, command: Command) -> int:
    """Call `command`; whatever goes wrong becomes words on stderr and an exit code, never a traceback."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = command(sys.argv[1:])
        sys.stdout.flush()
        return code
    except Problem as problem:
        complain(name, str(problem))
        return FAILED
    except BrokenPipeError:
        # Python flushes stdout once more at exit and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        complain(name, _in_words(error))
        return FAILED
    except Exception as error:
        if os.environ.get("PESC_DEBUG"):
            raise
        complain(name, f"A fault in {name} itself: {type(error).__name__}: {error}.\n"
                       "  Please report it with what PESC_DEBUG=1 shows when the command is given again.")
        return FAILED


def _open_closed_streams() -> None:
    """Who closed a stream (`>&-`) wants nothing of it; and no socket of ours shall get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  (open for as long as we run)


def complain(name: str, text: str) -> None:
    """Say on stderr what is wrong, in the name of the command."""
    sys.stdout.flush()
    print(f"{name}: {text}", file=sys.stderr)


def say(text: str) -> None:
    """Print a result."""
    sys.stdout.write(text + "\n")


def say_json(answer: Any) -> None:
    """Print a result for programs."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")


class Parser(argparse.ArgumentParser):
    """Arguments the way of our commands: HTCondor's `-long` flags beside `--long`, short complaints."""

    def __init__(self, name: str, summary: str, example: str) -> None:
        super().__init__(
            prog=name,
            description=summary,
            epilog=f"example:\n{_indent(example)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--version", action="version", version=f"{name} {VERSION}")

    def add_state(self) -> None:
        self.add_argument("--state", metavar="DIR", help="the pool of this state directory (else PESC_HOME)")

    def add_pool(self) -> None:
        self.add_argument("--pool", metavar="URL", help="another pool, such as http://machine:9618 (else PESC_POOL)")
        self.add_state()

    def add_json(self) -> None:
        self.add_flag("json", help="print the answer as JSON")

    def add_flag(self, *names: str, **how: Any) -> None:
        """Add an option under `--name` and under HTCondor's `-name`."""
        if "nargs" not in how and "metavar" not in how:
            how.setdefault("action", "store_true")
        spellings = [dashes + name for name in names for dashes in (("-", "--") if len(name) > 1 else ("-",))]
        longest = max(names, key=len).replace("-", "_")
        self.add_argument(*spellings, **{"dest": longest, **how})

    def read(self, arguments: Iterable[str]) -> argparse.Namespace:
        """The arguments, options and others in any order."""
        return self.parse_intermixed_args(list(split_autoformat(arguments)))

    def error(self, message: str) -> NoReturn:
        self.exit(WRONGLY_CALLED, f"{self.prog}: {message}\n  See: {self.prog} --help.\n")


def connect(chosen: argparse.Namespace) -> "Client":
    """The client for the pool that the user chose."""
    from contract.client import find_pool  # a dry run and --help need no HTTP

    return find_pool(chosen.pool, chosen.state)


def split_autoformat(arguments: Iterable[str]) -> Iterable[str]:
    """HTCondor's `-af:jh` as two arguments that argparse can read."""
    for argument in arguments:
        fused = re.fullmatch(r"--?(?:af|autoformat):(.*)", argument)
        if fused:
            yield f"--autoformat-options={fused[1]}"
            yield "-af"
        else:
            yield argument


def count_of(number: int, singular: str, plural: str = "") -> str:
    """`1 job`, `3 jobs`, `1,000,000 jobs`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def positive_int(text: str) -> int:
    """For argparse: a whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    if len(text) > MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{text[:MOST_DIGITS]}… is too large")
    return int(text)


def _in_words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}."


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
