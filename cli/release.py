"""pesc_release: let held jobs run again."""


from cli.act import act
from cli.common import run

NAME = "pesc_release"
SUMMARY = "Let held jobs run again."
EXAMPLE = """
pesc_release 12
pesc_release -constraint 'HoldReasonCode == 34'
"""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    return act(NAME, arguments, "release", "released", SUMMARY, EXAMPLE)
