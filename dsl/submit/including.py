"""`include`: lines from another file, or from what a command prints.

Commands run, and their output is kept, through the `Files` of whoever reads: on the
user's own machine only.
"""

from typing import NamedTuple

from dsl.submit.description import Files
from dsl.submit.lines import is_text
from dsl.submit.mistakes import shown

MOST_INCLUDES = 200
MOST_DEPTH = 20
MOST_CHARACTERS = 64 << 20


class BadInclude(Exception):
    """The lines cannot be had."""

    def __init__(self, what: str, why: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.cure = what, why, cure


class Included(NamedTuple):
    """Lines and where they are from; a file that need not be there may be None."""

    name: str
    text: str | None
    warning: str = ""


def included(how: str, target: str, files: Files) -> Included:
    """What `include how : target` stands for."""
    words = how.split()
    kinds = [word.lower() for word in words]
    if target.endswith("|") and not kinds:
        return _printed(target[:-1].strip(), files)
    if kinds == ["command"]:
        return _printed(target.removesuffix("|").strip(), files)
    if len(kinds) == 3 and kinds[:2] == ["command", "into"]:
        return _kept(words[2], target.removesuffix("|").strip(), files)
    if kinds not in ([], ["ifexist"]):
        raise BadInclude(f"{shown(how)!r} is no way to include something", "",
                         "Write: include : FILE, include ifexist : FILE, include command : COMMAND")
    if not target:
        raise BadInclude("nothing is included here", "", "Write: include : FILE")
    if kinds and not files.exists(target):
        return Included(target, None)
    return Included(target, text_of(target, files))


def text_of(path: str, files: Files) -> str:
    """The text of a file, or BadInclude."""
    try:
        text = files.read_text(path)
    except UnicodeError:
        raise BadInclude(f"{shown(path)} is not text", "It is not UTF-8.", "Is this the right file?") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInclude(f"cannot read {shown(path)}: {reason}", "",
                         "Is the name right? It is looked for where pesc_submit is called.") from None
    if not is_text(text):
        raise BadInclude(f"{shown(path)} is not text", "It holds NUL bytes.", "Is this the right file?")
    return text


def output_of(command: str, files: Files) -> tuple[str, str]:
    """What a command prints, and a warning if it failed; BadInclude if it cannot be run."""
    if not command:
        raise BadInclude("there is no command to run")
    try:
        text, code = files.run(command)
    except PermissionError as error:
        raise BadInclude(f"the command {shown(command)!r} is not run", str(error.strerror or error),
                         "Commands run only where a file is submitted, on your own machine.") from None
    except UnicodeError:
        raise BadInclude(f"what {shown(command)!r} prints is not text", "It is not UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInclude(f"cannot run {shown(command)!r}: {reason}", "", "It runs without a shell.") from None
    if not is_text(text):
        raise BadInclude(f"what {shown(command)!r} prints is not text", "It holds NUL bytes.")
    return text, f"{shown(command)!r} ended with exit code {code}; what it printed is taken" if code else ""


def _printed(command: str, files: Files) -> Included:
    text, warning = output_of(command, files)
    return Included(command, text, warning)


def _kept(cache: str, command: str, files: Files) -> Included:
    """What the command printed the first time."""
    if files.exists(cache):
        return Included(cache, text_of(cache, files))
    text, warning = output_of(command, files)
    try:
        files.write_text(cache, text)
    except OSError as error:
        raise BadInclude(f"cannot write {shown(cache)}: {error.strerror or error}") from None
    return Included(cache, text, warning)
