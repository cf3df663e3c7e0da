"""What is wrong with a Dockerfile, before anything is built.

`check` collects everything at once: mistakes, which keep it from being built, and
warnings about what has no effect in a run. It also says which images it stands on and
which files it copies, so that these can travel and those can be judged.
"""

import difflib
import json
import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dsl.dockerfile import processors
from dsl.dockerfile.reader import Dockerfile, Instruction, read
from dsl.dockerfile.references import OWN_BASES, SCRATCH, is_allowed, is_reference
from dsl.submit.mistakes import Mistake, nearest, shown

MOST_CHARACTERS = 256 * 1024
MOST_INSTRUCTIONS = 500

INSTRUCTIONS = ("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
                "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")

FLAGS = {
    "FROM": ("platform",), "RUN": ("mount", "network", "security"), "HEALTHCHECK": (
        "interval", "timeout", "start-period", "start-interval", "retries"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "checksum", "keep-git-dir", "exclude"),
}

NO_EFFECT = {
    "CMD": ("The job's own program is started, never the image's.", "Take the line out."),
    "ENTRYPOINT": ("The job's own program is started, never the image's.",
                   "What it prepares can be done by a RUN, or by the job's program."),
    "USER": ("A run has one user, the same in every image, and no other.",
             "Take the line out; make what the job reads readable for all: RUN chmod -R a+rX …"),
    "EXPOSE": ("Nobody reaches a run from outside.", "Take the line out."),
    "VOLUME": ("The image is read-only in a run; only the job's own folders can be written.", "Take the line out."),
    "HEALTHCHECK": ("Nobody asks a run how it is.", "Take the line out."),
    "STOPSIGNAL": ("A run is stopped by the signal that its submit file says.", "Write kill_sig in the submit file."),
}

_ARGUMENT = re.compile(r"([A-Za-z_]\w*)(?:=(.*))?\Z", re.DOTALL)
_STAGE = re.compile(r"[A-Za-z][\w.-]*\Z")
_VARIABLE = re.compile(r"\\.|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_ADDRESS = re.compile(r"(?i)(?:https?|ftp|git|ssh)://|git@")
_WORDS = re.compile(r"\S+")
_QUOTED_WORDS = re.compile(r"""(?:"(?:\\.|[^"\\])*+"|'[^']*+'|\\.|\S)++""", re.DOTALL)
"""Words that may hold blanks between quotes or after a backslash."""


@dataclass(slots=True)
class Checked:
    """All that is known of a Dockerfile without building it."""

    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    """The images it stands on, or takes files from."""
    sources: list[str] = field(default_factory=list)
    """The paths and patterns in its folder that it copies."""
    arguments: dict[str, str | None] = field(default_factory=dict)
    """What can be given from outside, and its default."""
    steps: int = 0


def check(text: str, name: str = "Dockerfile", *, allowed: Sequence[str] | None = None,
          arguments: Mapping[str, str] | None = None, has: Callable[[str], bool] | None = None,
          first_line: int = 1, own: Collection[str] = ()) -> Checked:
    """Look at `text`, which begins in line `first_line` of file `name`.

    `allowed`: patterns of images that it may stand on, None for all. `arguments`: values given from
    outside. `has`: whether a path or pattern is there to be copied. `own`: further names of images
    that the pool has itself.
    """
    return _Checking(read(text), name, allowed, arguments or {}, has, first_line, own).checked(text)


class _Checking:
    def __init__(self, file: Dockerfile, name: str, allowed: Sequence[str] | None, given: Mapping[str, str],
                 has: Callable[[str], bool] | None, first_line: int, own: Collection[str]) -> None:
        self.file, self.name, self.allowed, self.given, self.has = file, name, allowed, given, has
        self.first_line, self.own = first_line, own
        self.found = Checked()
        self.known: dict[str, str | None] = {}
        self.stages: list[str] = []
        self.has_from = False

    def checked(self, text: str) -> Checked:
        if len(text) > MOST_CHARACTERS or len(self.file.instructions) > MOST_INSTRUCTIONS:
            self._say(None, "it is too long", f"A Dockerfile has at most {MOST_CHARACTERS >> 10} KiB and "
                      f"{MOST_INSTRUCTIONS} instructions.", "Copy a script and RUN it.")
            return self.found
        if "\0" in text:
            self._say(None, "there is a NUL byte in it", "", "Is it a text file?")
        if "syntax" in self.file.directives:
            self._warn_line("the line # syntax= has no effect", "The builder of the machine reads the file.")
        for one in self.file.instructions:
            self._one(one)
        if not self.has_from and not self.found.mistakes:
            self._say(None, "there is no FROM", "An image is made on top of another one.",
                      "Begin with, say: FROM base")
        for name in self.given:
            if name not in self.found.arguments:
                guess = nearest(name, list(self.found.arguments))
                self._say(None, f"it has no argument {shown(name)!r}", "",
                          f'Did you mean "{guess}"?' if guess else f"Add to it: ARG {shown(name)}")
        return self.found

    def _one(self, one: Instruction) -> None:
        if one.name not in INSTRUCTIONS:
            # Most instructions are short: RNU and RUN have little in common by the usual measure.
            guess = difflib.get_close_matches(one.name[:30], INSTRUCTIONS, n=1, cutoff=0.6)
            self._say(one, f"unknown instruction {shown(one.name)}", "",
                      f'Did you mean "{guess[0]}"?' if guess else
                      "Lines that belong to the one before end in \\ there.", length=len(one.name))
            return
        if one.name not in ("FROM", "ARG") and not self.has_from:
            if not self.found.mistakes:
                self._say(one, f"{one.name} comes before any FROM", "An image is made on top of another one.",
                          "Begin with, say: FROM base", length=len(one.name))
            self.has_from = True
        if one.name != "ARG":
            self.found.steps += 1
        if not one.text and one.name != "MAINTAINER":
            self._say(one, f"{one.name} says nothing", "", f"See an example: {_EXAMPLES[one.name]}",
                      length=len(one.name))
            return
        self._flags(one)
        if one.unended:
            self._say(one, f"no line {shown(one.unended)} ends the text that begins here", "",
                      f"Put {shown(one.unended)} on a line of its own after it.", length=len(one.name))
        if one.name in NO_EFFECT:
            why, cure = NO_EFFECT[one.name]
            self._warn(one, f"{one.name} has no effect in a run", why, cure)
        judge = getattr(self, f"_{one.name.lower()}", None)
        if judge is not None:
            judge(one)

    def _flags(self, one: Instruction) -> None:
        known = FLAGS.get(one.name, ())
        for flag in one.flags:
            if flag.name.lower() not in known:
                guess = nearest(flag.name, known)
                self._say(one, f"{one.name} has no flag --{shown(flag.name)}", "",
                          f'Did you mean "--{guess}"?' if guess else "Take it out.", flag.at, len(flag.name) + 2)

    # --- instruction by instruction ------------------------------------------------------

    def _arg(self, one: Instruction) -> None:
        for word in _QUOTED_WORDS.finditer(one.arguments):
            found = _ARGUMENT.match(word[0])
            if not found:
                self._say(one, f"{shown(word[0])!r} is not an argument", "", "Write: ARG name=default",
                          one.arguments_at + word.start(), len(word[0]))
                continue
            default = _unquoted(found[2]) if found[2] is not None else None
            if found[1] == processors.ARGUMENT:
                self._variants(one, default, one.arguments_at + word.start(), len(word[0]))
            if not self.has_from:
                value = self.given.get(found[1], default)
                at = one.arguments_at + word.start()
                self.known[found[1]] = self._expanded(one, value, at) if value else value
            self.found.arguments.setdefault(found[1], default)

    def _variants(self, one: Instruction, default: str | None, at: int, length: int) -> None:
        """The kinds of processors that it is built for."""
        given = self.given.get(processors.ARGUMENT)
        try:
            named = processors.variants(given or default or "")
        except processors.BadProcessor as bad:
            why = f"It was given: {processors.ARGUMENT}={shown(given, 40)}" if given else (
                "It is built for each kind that is named here.")
            self._say(one, str(bad), why,
                      f"Write, say: ARG {processors.ARGUMENT}={','.join(processors.X86[1:3])}", at, length)
            return
        if len(named) > processors.MOST_VARIANTS:
            self._say(one, f"it names {len(named)} kinds of processors", f"At most {processors.MOST_VARIANTS} can be.",
                      "", at, length)

    def _from(self, one: Instruction) -> None:
        self.has_from = True
        words = list(_WORDS.finditer(one.arguments))
        texts = [word[0] for word in words]
        at = one.arguments_at + (words[0].start() if words else 0)
        if not texts:
            self._say(one, "FROM names no image", "", "Write, say: FROM base")
            return
        if len(texts) != 1 and not (len(texts) == 3 and texts[1].lower() == "as"):
            self._say(one, "FROM is not understood", "It takes one image, and perhaps a name for the stage.",
                      "Write: FROM image AS name", one.arguments_at, len(one.arguments))
            return
        image = self._expanded(one, texts[0], at)
        if image is not None and image.lower() not in self.stages:
            self._base(one, image, at, len(texts[0]))
        stage = texts[2].lower() if len(texts) == 3 else ""
        if stage and not _STAGE.match(stage):
            self._say(one, f"{shown(texts[2])!r} cannot be the name of a stage", "", "Letters and digits make one.",
                      one.arguments_at + words[2].start(), len(texts[2]))
        self.stages.append(stage)

    def _base(self, one: Instruction, image: str, at: int, length: int) -> None:
        if image == SCRATCH or image in self.own:
            return
        if not is_reference(image):
            lower = image.lower()
            cure = f"Write: {lower}" if is_reference(lower) else "Write, say: debian:12, or ghcr.io/group/image:1.2"
            self._say(one, f"{shown(image)!r} is not the name of an image", "", cure, at, length)
            return
        self.found.bases.append(image)
        if self.allowed is not None and not is_allowed(image, self.allowed):
            names = ", ".join(self.allowed[:8]) or "none"
            self._say(one, f"the pool does not allow the base image {shown(image)}",
                      f"Allowed are {names}, and those that machines make themselves: {', '.join(OWN_BASES)}.",
                      "Take one of these, or ask an administrator of the pool.", at, length)

    def _run(self, one: Instruction) -> None:
        for flag in one.flags:
            if flag.name == "security" and flag.value != "sandbox":
                self._say(one, "RUN --security is not allowed", "Builds run without any right on the machine.",
                          "Take the flag out.", flag.at, len(flag.value) + 11)
            if flag.name == "network" and flag.value == "host":
                self._say(one, "RUN --network=host is not allowed", "Builds do not share the machine's own network.",
                          "Take the flag out.", flag.at, 14)
            for part in flag.value.split(",") if flag.name == "mount" else ():
                key, _, value = part.partition("=")
                if key == "from" and value:
                    self._from_elsewhere(one, value, flag.at, len(flag.value) + 8)
        self._exec_form(one)

    def _copy(self, one: Instruction) -> None:
        elsewhere = [flag for flag in one.flags if flag.name == "from"]
        for flag in elsewhere:
            self._from_elsewhere(one, flag.value, flag.at, len(flag.value) + 7)
        sources = self._sources(one)
        for source, at in [] if elsewhere else sources:
            self._source(one, source, at)

    def _add(self, one: Instruction) -> None:
        for source, at in self._sources(one):
            if _ADDRESS.match(source):
                self._say(one, f"ADD of the address {shown(source)}",
                          "What an address gives may be another thing tomorrow, and the machine that builds may not "
                          "reach it.", "Download it beside the Dockerfile and COPY it.", at, len(source))
            else:
                self._source(one, source, at)

    def _sources(self, one: Instruction) -> list[tuple[str, int]]:
        """What an instruction copies, and where each is written."""
        text, start = one.arguments, one.arguments_at
        if text.startswith("["):
            try:
                words = [(str(word), start) for word in json.loads(text)]
            except ValueError:
                words = [(word[0], start + word.start()) for word in _WORDS.finditer(text)]
        else:
            words = [(word[0], start + word.start()) for word in _WORDS.finditer(text)]
        if len(words) < 2:
            self._say(one, f"{one.name} needs what to copy and where to", "", f"Write: {_EXAMPLES[one.name]}",
                      length=len(one.name))
            return []
        return [(word, at) for word, at in words[:-1] if not word.startswith("<<")]

    def _source(self, one: Instruction, written: str, at: int) -> None:
        source = written
        if "$" in source:
            return  # only the build knows; what is not there is said by it
        path = posixpath.normpath(source.lstrip("/") or ".")
        if path == ".." or path.startswith("../"):
            self._say(one, f"{shown(written)} is outside the folder of the Dockerfile",
                      "Only what lies in that folder travels to the machine that builds.",
                      "Copy it there, or put the Dockerfile above both.", at, len(written))
            return
        self.found.sources.append(path)
        if self.has is not None and not self.has(path):
            self._say(one, f"there is no {shown(written)} to copy", "It is looked for in the folder of the Dockerfile.",
                      "Is the name right?", at, len(written))

    def _from_elsewhere(self, one: Instruction, name: str, at: int, length: int) -> None:
        """A stage by its name or number, or another image."""
        if name.lower() in self.stages[:-1] or (name.isdecimal() and int(name) < len(self.stages) - 1):
            return
        if name.isdecimal() or name.lower() in self.stages:
            self._say(one, f"there is no stage {shown(name)} before this one", "", "", at, length)
            return
        image = self._expanded(one, name, at)
        if image is not None:
            self._base(one, image, at, length)

    def _env(self, one: Instruction) -> None:
        words = _WORDS.findall(one.arguments)
        if len(words) == 1 and "=" not in words[0]:
            self._say(one, f"ENV {shown(words[0])} has no value", "", "Write: ENV NAME=value", one.arguments_at,
                      len(words[0]))
        names = [words[0]] if "=" not in words[0] else [word.partition("=")[0] for word in words if "=" in word]
        for name in names:
            if name.startswith("PESC_"):
                self._say(one, f"{shown(name)} is PESC's own", "It tells a run which one of its job's it is.",
                          "Choose another name.", max(one.text.find(name), 0), len(name))

    def _onbuild(self, one: Instruction) -> None:
        word = one.arguments.split()[0].upper()
        if word in ("FROM", "ONBUILD", "MAINTAINER") or word not in INSTRUCTIONS:
            self._say(one, f"ONBUILD {shown(word)} cannot be", "", "See: ONBUILD RUN …", one.arguments_at, len(word))

    def _maintainer(self, one: Instruction) -> None:
        self._warn(one, "MAINTAINER is out of date", "", "Write: LABEL maintainer=…")

    def _shell(self, one: Instruction) -> None:
        if not _is_words(one.arguments):
            self._say(one, "SHELL takes a list", "", 'Write: SHELL ["/bin/sh", "-c"]', one.arguments_at,
                      len(one.arguments))

    def _exec_form(self, one: Instruction) -> None:
        text = one.arguments
        if text.startswith("[") and text.endswith("]") and not _is_words(text) and not text.startswith("[["):
            self._warn(one, "this list is not JSON, and is given to the shell as it is", "",
                       'Write: RUN ["program", "argument"], with double quotes')

    # --- words ---------------------------------------------------------------------------

    def _expanded(self, one: Instruction, text: str, at: int) -> str | None:
        """`text` with the arguments that stand before the first FROM; None when it was a mistake."""
        lost: list[str] = []

        def value(found: re.Match[str]) -> str:
            name, how, other = found[1] or found[2], found[3] or "", found[4] or ""
            if name is None:
                return found[0][1:]
            known = self.known.get(name)
            if how.endswith("+"):
                return other if known else ""
            if not known and how.endswith("-"):
                return other
            if not known:
                lost.append(name)
            return known or ""

        expanded = _VARIABLE.sub(value, text)
        if lost:
            self._say(one, f"nothing says what {shown(lost[0])} is",
                      "Before FROM, only arguments that stand above all FROM lines are known.",
                      f"Give it a default there: ARG {shown(lost[0])}=…", at, len(text))
            return None
        return expanded

    def _say(self, one: Instruction | None, what: str, why: str = "", cure: str = "", offset: int | None = None,
             length: int = 1) -> None:
        self.found.mistakes.append(self._mistake(one, what, why, cure, offset, length))

    def _warn(self, one: Instruction, what: str, why: str = "", cure: str = "") -> None:
        self.found.warnings.append(self._mistake(one, what, why, cure, None, len(one.name)))

    def _warn_line(self, what: str, why: str) -> None:
        self.found.warnings.append(Mistake(self.name, self.first_line, 1, what, why, "", self.file.lines[0],
                                           len(self.file.lines[0])))

    def _mistake(self, one: Instruction | None, what: str, why: str, cure: str, offset: int | None,
                 length: int) -> Mistake:
        if one is None:
            return Mistake(self.name, 0, 0, what, why, cure)
        line, column = (one.line, one.column) if offset is None else one.place(offset)
        source = self.file.lines[line - 1]
        return Mistake(self.name, line + self.first_line - 1, column, what, why, cure, source, length)


_EXAMPLES = {
    "ADD": "ADD data.tar.gz /data", "ARG": "ARG version=3.12", "CMD": 'CMD ["program"]', "COPY": "COPY model.py /app/",
    "ENTRYPOINT": 'ENTRYPOINT ["program"]', "ENV": "ENV NAME=value", "EXPOSE": "EXPOSE 80", "FROM": "FROM base",
    "HEALTHCHECK": "HEALTHCHECK NONE", "LABEL": "LABEL name=value", "ONBUILD": "ONBUILD RUN make",
    "RUN": "RUN make install", "SHELL": 'SHELL ["/bin/sh", "-c"]', "STOPSIGNAL": "STOPSIGNAL SIGTERM",
    "USER": "USER nobody", "VOLUME": "VOLUME /data", "WORKDIR": "WORKDIR /app",
}


def _is_words(text: str) -> bool:
    try:
        words = json.loads(text)
    except ValueError:
        return False
    return isinstance(words, list) and bool(words) and all(isinstance(word, str) for word in words)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
