"""A machine's owner comes while jobs run in containers, and somebody looks inside them."""

from pathlib import Path

from tests.startd.test_owner_whole import a_shell_gives_way


def test_a_shell_in_a_container_stands_still_goes_on_and_leaves_with_its_run(tmp_path: Path):
    a_shell_gives_way(tmp_path, "podman")
