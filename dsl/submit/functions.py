"""What `$INT(…)`, `$F…(…)` and their kin in a value come to.

`call` gets the text between the parentheses, macros already put in, and `look`,
which finds a macro by name: the functions take a macro's name as well as a value.
"""

import posixpath
import re
from collections.abc import Callable

from dsl.submit import expressions
from dsl.submit.macros import BadMacro
from dsl.submit.mistakes import shown

Look = Callable[[str], str | None]
Worth = Callable[[str], expressions.Plain | None]

_INTEGER_FORMAT = re.compile(r"([^%]*)%[-+ 0#]*\d{0,3}(\.\d{0,2})?[diuxXo][^%]*\Z")
_REAL_FORMAT = re.compile(r"([^%]*)%[-+ 0#]*\d{0,3}(\.\d{0,2})?[feEgG][^%]*\Z")
_TEXT_FORMAT = re.compile(r"([^%]*)%-?\d{0,3}(\.\d{0,3})?s[^%]*\Z")


def call(function: str, argument: str, look: Look, worth: Worth, chance: str = "") -> str:
    """Return what `$function(argument)` stands for, or raise BadMacro. `chance` is what a random one begins from."""
    if function.startswith("F"):
        return file_parts(function[1:], _value(argument.strip(), look))
    words = [word.strip() for word in argument.split(",")]
    match function:
        case "INT":
            return _formatted(function, words, look, worth, _INTEGER_FORMAT, "%d")
        case "REAL":
            return _formatted(function, words, look, worth, _REAL_FORMAT, "")
        case "STRING" | "EVAL":
            words = words if function == "STRING" else [argument.strip()]
            return _formatted(function, words, look, worth, _TEXT_FORMAT, "%s")
        case "SUBSTR":
            return _substring(words, look, worth)
        case "CHOICE":
            return _choice(words, look, worth)
        case "BASENAME":
            name = posixpath.basename(_value(words[0], look))
            return name.removesuffix(words[1]) if len(words) > 1 else name
        case "DIRNAME":
            folder = posixpath.dirname(_value(words[0], look))
            return folder + "/" if folder and not folder.endswith("/") else folder
        case "RANDOM_CHOICE":
            choices = _listed(words, look)
            if not choices:
                raise BadMacro("$RANDOM_CHOICE() has nothing to choose from")
            chosen = choices[int(chance, 16) % len(choices)]
            return chosen if (found := look(chosen)) is None or len(words) == 1 else found
        case _:
            return _random_integer(words, look, worth, int(chance, 16))


def file_parts(options: str, path: str) -> str:
    """`$Fpnx(path)`: the asked parts of a file name."""
    path = path.strip('"')
    folder, slash, file = path.rpartition("/")
    folder += slash
    stem, dot, extension = file.rpartition(".")
    if not dot:
        stem, extension = file, ""
    result = ""
    bare = "b" in options
    wanted = set(options)
    if not wanted & set("pdnx"):
        result = path
    if "p" in wanted:
        result += folder.rstrip("/") if bare and wanted.isdisjoint("nx") and folder != "/" else folder
    elif "d" in wanted:
        kept = "/".join(folder.rstrip("/").split("/")[-options.count("d") :])
        result += kept + ("" if bare and wanted.isdisjoint("nx") else "/" if folder else "")
    if "n" in wanted:
        result += stem
    if "x" in wanted and dot:
        result += extension if bare and "n" not in wanted else "." + extension
    if "w" in wanted:
        result = result.replace("/", "\\")
    elif "u" in wanted:
        result = result.replace("\\", "/")
    if "q" in wanted:
        return f"'{result}'" if "a" in wanted else f'"{result}"'
    return result


def _formatted(function: str, words: list[str], look: Look, worth: Worth, allowed: re.Pattern[str],
               plain: str) -> str:
    text = _value(words[0], look)
    layout = ",".join(words[1:])
    if layout and not allowed.match(layout):
        raise BadMacro(f"{shown(layout)!r} is no format for ${function}()", cure=f"Write ${function}(x) or, say, "
                       f"${function}(x,{'%05d' if function == 'INT' else '%.3f' if function == 'REAL' else '%10s'}).")
    kind = "an integer" if function == "INT" else "a number"
    value = worth(text)
    if function == "INT" and isinstance(value, int | float) and abs(value) < 2**63:
        return (layout or plain) % int(value)
    if function == "REAL" and isinstance(value, int | float):
        return (layout % float(value)) if layout else f"{float(value):.16G}"
    if function == "STRING":
        return (layout or plain) % (value if isinstance(value, str) else text)
    if function == "EVAL" and value is not None:
        return expressions.as_text(value)
    wanted = kind if function in ("INT", "REAL") else "a value"
    raise BadMacro(f"${function}({shown(words[0])}) does not evaluate to {wanted}",
                   f"It stands for {shown(text)!r}." if text != words[0] else "")


def _substring(words: list[str], look: Look, worth: Worth) -> str:
    text = _value(words[0], look)
    start = _number("SUBSTR", words[1] if len(words) > 1 else "0", look, worth)
    if start < 0:
        start = max(0, len(text) + start)
    rest = text[start:]
    if len(words) < 3:
        return rest
    length = _number("SUBSTR", words[2], look, worth)
    return rest[:length] if length else ""


def _random_integer(words: list[str], look: Look, worth: Worth, chance: int) -> str:
    numbers = [_number("RANDOM_INTEGER", word, look, worth) for word in words[:3]]
    if len(numbers) < 2:
        raise BadMacro("$RANDOM_INTEGER() needs two numbers", cure="Write, say: $RANDOM_INTEGER(1,100)")
    low, high, step = (*numbers, 1)[:3]
    if high < low or step < 1:
        raise BadMacro(f"$RANDOM_INTEGER(): there is no number from {low} to {high} in steps of {step}")
    return str(low + step * (chance % ((high - low) // step + 1)))


def _listed(words: list[str], look: Look) -> list[str]:
    """The choices: written out, or in the macro that the only word names."""
    if len(words) == 1 and (listed := look(words[0])) is not None:
        return [choice.strip() for choice in listed.split(",")]
    return [word for word in words if word]


def _choice(words: list[str], look: Look, worth: Worth) -> str:
    index = _number("CHOICE", words[0], look, worth)
    choices = words[1:]
    if len(choices) == 1:
        choices = _listed(choices, look)
    if not 0 <= index < len(choices):
        raise BadMacro(f"$CHOICE(): there is no choice number {index}",
                       f"There are {len(choices)}, counted from 0.")
    chosen = choices[index]
    return chosen if (found := look(chosen)) is None or len(words) == 2 else found


def _number(function: str, word: str, look: Look, worth: Worth) -> int:
    text = _value(word, look)
    value = worth(text)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadMacro(f"${function}(): {shown(word)!r} is not a whole number",
                       f"It stands for {shown(text)!r}." if text != word else "")
    return value


def _value(word: str, look: Look) -> str:
    found = look(word)
    return word if found is None else found
