"""Domains for real: images are built, carried to another machine, and jobs run in them."""

import pathlib
import shutil
import signal
import subprocess

import pytest

from tests.system.house import House

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

SHOW = "import os, shutil\nshutil.copy({!r}, os.environ['PESC_OUTPUT_DIR'] + '/output.txt')\n"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    made = House(tmp_path_factory.mktemp("domains"))
    try:
        started = made("pool", "start", "--cpus", "2", "--runtime", "podman")
        assert started.code == 0, started
        yield made
    finally:
        made.close()


def test_the_example_is_built_and_runs_in_its_image(pool):
    shutil.copytree(EXAMPLES / "domain", pool.folder / "domain")
    answer = pool("submit", "domain.pesc", "--wait", "--json", folder=pool.folder / "domain")
    assert answer.code == 0, answer
    outputs = pool.folder / "domain" / answer.json["folder"] / "output.txt"
    assert outputs.read_text() == "Hello, dana.\nHello, lee.\n"


def test_a_program_in_c_is_compiled_once_for_this_kind_of_processor(pool):
    shutil.copytree(EXAMPLES / "build", pool.folder / "build")
    answer = pool("submit", "walk.pesc", "--wait", "--json", folder=pool.folder / "build")
    assert answer.code == 0, answer
    lines = (pool.folder / "build" / answer.json["folder"] / "output.txt").read_text().splitlines()
    assert [line.rpartition(" ended ")[0] for line in lines] == [f"walk {rank}" for rank in range(4)]
    again = pool("submit", "walk.pesc", "--wait", "--json", folder=pool.folder / "build")
    assert again.code == 0, again
    programs = [one for one in pool("domain", "list", "--json").json if one["source"] == "program"]
    assert [(one["state"], one["command"].split()[0]) for one in programs] == [("ready", "gcc")]


def test_a_program_is_made_from_a_folder_in_the_image_of_its_domain(pool):
    (pool.folder / "sources").mkdir()
    pool.write("sources/made.sh", "#!/bin/sh\ncat /pesc/app/word > $PESC_OUTPUT_DIR/output.txt\n")
    pool.write("sources/make.py", "import os, pathlib, shutil\n"
               "pathlib.Path('out').mkdir()\n"
               "shutil.copy('made.sh', 'out/made')\n"
               "os.chmod('out/made', 0o755)\n"
               "pathlib.Path('word').write_text(os.environ['PESC_MICROARCH'] + open('/base-word').read())\n")
    pool.write("folder.pesc", "process = sources\nbuild = python3 make.py\nmain = out/made\ndockerfile @=END\n"
                              "FROM base\nRUN echo :here > /base-word\n@END\n")
    answer = pool("submit", "folder.pesc", "--wait", "--json")
    assert answer.code == 0, answer
    said = (pool.folder / answer.json["folder"] / "output.txt").read_text()
    assert said.startswith(("x86-64", "aarch64"))
    assert said.endswith(":here\n")


def test_a_program_that_cannot_be_made_holds_its_jobs_with_the_command_and_its_last_lines(pool):
    pool.write("broken.c", "int main( {\n")
    pool.write("broken.pesc", "process = broken.c\nbuild = echo broken.c:1: error >&2; exit 4\ndockerfile @=END\n"
                              "FROM base\n@END\n")
    pool.write("nothing.pesc", "process = broken.c\nbuild = cp broken.c other; chmod +x other\nmain = program\n"
                               "dockerfile @=END\nFROM base\n@END\n")
    reasons = []
    for name in ("broken", "nothing"):
        cluster = pool("submit", f"{name}.pesc", "--json").json["cluster"]
        pool.until(cluster, "held")
        reasons.append(pool("q", str(cluster), "-af", "HoldReason").out)
        assert pool("rm", str(cluster)).code == 0
    assert "could not be built at the step echo broken.c:1: error >&2; exit 4" in reasons[0]
    assert "Its last lines: " in reasons[0] and "broken.c:1: error" in reasons[0]
    assert "It ended well and made no file program; it made other: write main = other" in reasons[1]


def test_a_build_that_fails_holds_its_jobs_with_the_step_and_its_last_lines(pool):
    assert pool("domain", "add", "bad", pool.write("Bad.Dockerfile", "FROM base\nRUN echo no luck; exit 3\n"),
                "--wait").code == 1
    shown = pool("domain", "show", "bad", "--json").json
    assert (shown["state"], shown["failed_step"]) == ("failed", "RUN echo no luck; exit 3")
    assert "no luck" in shown["lines"]
    assert b"no luck" in pool("domain", "log", "bad").out.encode()


def test_an_image_that_no_registry_gives_is_told_as_such(pool):
    answer = pool("domain", "add", "away", "registry.invalid/group/image:1", "--wait")
    assert answer.code == 1
    assert "The registry registry.invalid does not answer from here" in answer.err


def test_an_image_leaves_as_one_file_and_comes_back(pool):
    assert pool("domain", "add", "study", pool.write("Study.Dockerfile", "FROM base\nRUN echo made > /made\n"),
                "--wait").code == 0
    assert pool("domain", "export", "study", "study.oci.tar").code == 0
    assert pool("domain", "import", "copy", "study.oci.tar").code == 0
    images = [pool("domain", "show", name, "--json").json["image"]["id"] for name in ("study", "copy")]
    assert images[0] == images[1]
    pool.write("made.py", SHOW.format("/made"))
    pool.write("made.pesc", "process = made.py\ndomain = copy\n")
    answer = pool("submit", "made.pesc", "--wait", "--json")
    assert answer.code == 0, answer
    assert (pool.folder / answer.json["folder"] / "output.txt").read_text() == "made\n"


def test_a_machine_with_a_storage_of_its_own_gets_the_image_through_the_pool(pool, tmp_path):
    dockerfile = pool.write("Carried.Dockerfile", "FROM base\nRUN echo carried > /carried\n")
    assert pool("domain", "add", "carried", dockerfile, "--wait").code == 0
    for name in ("data", "runtime"):
        (tmp_path / name).mkdir(mode=0o700)
    settings = tmp_path / "storage.conf"
    settings.write_text(f'[storage]\ndriver = "overlay"\nrunroot = "{tmp_path}/runtime/containers"\n'
                        f'graphroot = "{tmp_path}/data/containers/storage"\n')
    usual = pool.environment
    pool.environment = usual | {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_RUNTIME_DIR": str(tmp_path / "runtime"),
                                "CONTAINERS_STORAGE_CONF": str(settings)}
    other = pool.begin("pesc_startd", "--name", "other", "--runtime", "podman", "--cpus", "1")
    pool.environment = usual
    try:
        pool.write("b.py", SHOW.format("/carried"))
        pool.write("carried.pesc", "process = b.py\ndomain = carried\nrequirements = TARGET.Name == \"other\"\n")
        answer = pool("submit", "carried.pesc", "--wait", "--json")
        assert answer.code == 0, answer
        assert (pool.folder / answer.json["folder"] / "output.txt").read_text() == "carried\n"
        assert (tmp_path / "data/containers/storage/overlay-images/images.json").stat().st_size > 2
    finally:
        other.terminate()
        other.wait()
        subprocess.run(["podman", "unshare", "rm", "-rf", tmp_path / "data"], capture_output=True, check=False)


def test_a_builder_that_is_killed_in_the_middle_builds_again_when_it_is_back(pool):
    dockerfile = pool.write("Long.Dockerfile", "FROM base\nRUN echo one\nRUN python3 -c 'sum(range(10**8))'\n")
    assert pool("domain", "add", "long", dockerfile).code == 0
    following = pool.begin("pesc_domain", "log", "-f", "long")
    pool.daemon("startd").send(signal.SIGKILL)
    pool.daemon("schedd").send(signal.SIGKILL)
    assert pool("pool", "start", "--cpus", "2", "--runtime", "podman").code == 0
    assert pool("domain", "build", "long", "--wait").code == 0
    following.wait()
    assert pool("domain", "show", "long", "--json").json["state"] == "ready"


def test_two_submissions_of_the_same_content_are_one_build(pool):
    pool.write("c.py", "print(1)\n")
    pool.write("twice.pesc", "process = c.py\ndockerfile @=END\nFROM base\nRUN echo twice > /twice\n@END\n")
    first, second = pool("submit", "twice.pesc", "--json"), pool("submit", "twice.pesc", "--json")
    for answer in (first, second):
        assert pool("wait", answer.json["cluster"]).code == 0
    built = [one for one in pool("domain", "list", "--json").json if "echo twice" in one["dockerfile"]]
    assert [one["state"] for one in built] == ["ready"]
