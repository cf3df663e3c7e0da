"""`pesc_submit --help-commands [WORD]`: what a submit file may say, from the table of commands."""

from cli.common import DONE, FAILED, complain, say, say_json
from dsl.submit.mistakes import nearest
from dsl.submit.table import COMMANDS, Command, Status, find, is_resource, known

MARKS = {Status.CARRIED_OUT: " ", Status.ACCEPTED: "~", Status.REFUSED: "!"}


def show_commands(name: str, word: str, as_json: bool) -> int:
    """Tell about one command, or all of them."""
    if not word:
        return _show_all(as_json)
    command = find(word.lower())
    guess = nearest(word, known()) if command is None or is_resource(word.lower()) else None
    if command is None:
        complain(name, f"there is no command {word!r}." + (f"\n  Did you mean {guess}?" if guess else ""))
        return FAILED
    if as_json:
        say_json(_row(command))
        return DONE
    rows = [("value", str(command.kind)), ("default", command.default), ("attribute", command.attribute),
            ("also", ", ".join(command.words[1:])), ("in this version", str(command.status)),
            ("only", ", ".join(command.accepts)), ("like", guess or "")]
    say("\n".join([f"{command.name}: {command.help}", *(f"  {what:<15}  {text}" for what, text in rows if text)]))
    return DONE


def _show_all(as_json: bool) -> int:
    if as_json:
        say_json([_row(command) for command in COMMANDS])
        return DONE
    say("Commands of a submit file. ~ is passed over with a warning, ! is refused on submission.\n"
        "More about one: pesc_submit --help-commands WORD\n")
    for command in sorted(COMMANDS, key=lambda command: (not command.pesc, command.name)):
        say(f"{MARKS[command.status]} {command.name:<32} {command.help}")
    return DONE


def _row(command: Command) -> dict[str, object]:
    return {"name": command.name, "aliases": list(command.words[1:]), "value": command.kind,
            "default": command.default, "attribute": command.attribute, "status": command.status,
            "only": list(command.accepts), "pesc": command.pesc, "help": command.help}
