"""Whether a program wants the header: it uses its variables, has none, and does not look by itself.

Python is parsed; of the other languages what looks like code is looked at. A wrong guess does
little harm: a variable that the program sets itself is the program's, and one that was not
seen is missing as it would be without PESC.
"""

import re

from dsl.headers.texts import VARIABLES

_NAMES = "|".join(VARIABLES)
_MENTIONED = re.compile(rf"\b(?:{_NAMES})\b")
_HEADER = re.compile(r"^\W*>>> PESC header \d+\b", re.MULTILINE)
_ITSELF = {
    "python": r"\bPESC_|\b(?:sys\.argv|from sys import .*\bargv|argparse|optparse|getopt|docopt)\b"
              r"|^\s*(?:import|from)\s+(?:click|typer|fire|absl)\b",
    "r": r"\bPESC_|\b(?:commandArgs|optparse|argparse|docopt|getopt|optigrab)\b",
    "julia": r"\bPESC_|\bARGS\b|\b(?:ArgParse|DocOpt|Comonicon)\b",
    "octave": r"\bPESC_|\bargv\b",
    "shell": r"\bPESC_|\bgetopts?\b|--(?:rank|output_dir|parameters|world_size)\b",
}
"""What a program that reads the contract by itself has somewhere."""

_STRINGS = {
    "r": r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|#.*',
    "julia": r'"""[\s\S]*?"""|"(?:\\.|[^"\\])*"|#=[\s\S]*?=#|#.*',
    "octave": r'"(?:\\.|[^"\\\n])*"|(?<![\w)\]}.\'])\'(?:[^\'\n]|\'\')*\''
              r"|^[ \t]*[%#]\{[ \t]*$[\s\S]*?^[ \t]*[%#]\}[ \t]*$|[#%].*",
    "shell": r"(?:^|(?<=\s))#.*|'[^'\n]*'",
}
"""Strings and comments."""

_USED = {
    "r": re.compile(rf"(?<![\w.$@:])({_NAMES})(?![\w.]|\s*\()"),
    "julia": re.compile(rf"(?<![\w.@:])({_NAMES})(?![\w!]|\()"),
    "octave": re.compile(rf"(?<![\w.@])({_NAMES})(?!\w|\s*\()"),
    "shell": re.compile(rf"\$\{{?#?({_NAMES})(?!\w)"),
}
_SET = {
    "r": re.compile(rf"(?:^|[;{{])\s*({_NAMES})\s*(?:<<?-|=(?!=))|->>?\s*({_NAMES})\b|\bfor\s*\(\s*({_NAMES})\b",
                    re.MULTILINE),
    "julia": re.compile(rf"(?:^|;)\s*(?:const\s+|global\s+|local\s+)?({_NAMES})\s*=(?!=)|\bfor\s+({_NAMES})\b",
                        re.MULTILINE),
    "octave": re.compile(rf"(?:^|;)\s*({_NAMES})\s*=(?!=)|\bfor\s*\(?\s*({_NAMES})\b", re.MULTILINE),
    "shell": re.compile(rf"(?:^|[\s;(])({_NAMES})=|\bfor\s+({_NAMES})\b|\bread\b[^\n|;]*\b({_NAMES})\b", re.MULTILINE),
}


def has_header(text: str) -> bool:
    return _HEADER.search(text) is not None


def reads_itself(language: str, text: str) -> bool:
    return re.search(_ITSELF[language], text, re.MULTILINE) is not None


def uses(language: str, text: str) -> frozenset[str]:
    """The variables of the header that a program uses and does not set."""
    if not _MENTIONED.search(text):
        return frozenset()
    if language == "python":
        from dsl.headers.python import free_names

        return free_names(text) & frozenset(VARIABLES)
    code = _code(language, text)
    return frozenset(_found(_USED[language], code)) - frozenset(_found(_SET[language], code))


def _code(language: str, text: str) -> str:
    """A program without its comments and strings; of Julia's strings what is put into them stays."""
    def instead(found: re.Match[str]) -> str:
        if language == "julia" and found[0].startswith('"'):
            return " ".join(re.findall(r"\$\(?([^\W\d]\w*)", found[0]))
        return ""

    return re.sub(_STRINGS[language], instead, text, flags=re.MULTILINE)


def _found(pattern: re.Pattern[str], code: str) -> list[str]:
    return [name for groups in pattern.finditer(code) for name in groups.groups() if name]
