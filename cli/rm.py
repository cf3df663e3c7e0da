"""pesc_rm: remove jobs from the queue; what they left behind stays."""


from cli.act import act
from cli.common import run

NAME = "pesc_rm"
SUMMARY = "Remove jobs from the queue; what they left behind stays."
EXAMPLE = """
pesc_rm 12          the whole cluster
pesc_rm 12.3        one job
pesc_rm -constraint 'JobStatus == 5'
"""


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    return act(NAME, arguments, "remove", "removed", SUMMARY, EXAMPLE)
