"""pesc_hold: keep jobs from running until they are released; running ones are stopped."""


from cli.act import act
from cli.common import run

NAME = "pesc_hold"
SUMMARY = "Keep jobs from running until they are released; running ones are stopped."
EXAMPLE = """
pesc_hold 12 --reason 'input is wrong'
pesc_hold -constraint 'JobPrio < 0'
"""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    return act(NAME, arguments, "hold", "held", SUMMARY, EXAMPLE)
