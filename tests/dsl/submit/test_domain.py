"""domain, dockerfile and packages in a submit file."""

import pytest


def test_a_name_is_left_to_the_pool(described):
    found = described("process = a.py\ndomain = scipy version=3.11\npackages = seaborn\n").domain
    assert (found.name, found.arguments, found.packages, found.dockerfile) == (
        "scipy", {"version": "3.11"}, ["seaborn"], "")


def test_without_these_words_there_is_no_domain(described):
    assert described("process = a.py\n").domain is None


@pytest.mark.parametrize("image", ["debian:12", "ghcr.io/group/image", "docker://debian:12"])
def test_an_image_is_a_dockerfile_of_one_line(described, image):
    assert described(f"process = a.py\ndomain = {image}\n").domain.dockerfile == f"FROM {image.removeprefix('docker://')}\n"


def test_a_folder_is_the_dockerfile_in_it_and_what_that_copies(described):
    found = described("process = a.py\ndomain = study\n", files={
        "study/Dockerfile": "FROM base\nCOPY data /data\n", "study/data/x": "1"}).domain
    assert (found.dockerfile, found.folder, found.sources) == ("FROM base\nCOPY data /data\n", "/here/study", ["data"])


def test_a_name_goes_before_a_folder_that_is_no_domain(described):
    assert described("process = a.py\ndomain = scipy\n", files={"scipy/x.py": ""}).domain.name == "scipy"


def test_a_path_is_a_dockerfile_whatever_its_name(described):
    files = {"env/lab.txt": "ARG v\nFROM debian:${v}\n"}
    found = described("process = a.py\ndomain = ./env/lab.txt v=12\n", files=files).domain
    assert (found.folder, found.arguments) == ("/here/env", {"v": "12"})
    assert described("process = a.py\ndockerfile = env/lab2\n", files={"env/lab2": "FROM base\n"}).domain.command == \
        "dockerfile"


def test_lines_of_its_own_are_checked_where_they_stand(mistakes):
    (found,) = mistakes("process = a.py\ndockerfile @=END\n\nFROM base\nRNU x\n@END\n")
    assert (found.file, found.line, found.column, found.what) == ("job.pesc", 5, 1, "unknown instruction RNU")


def test_mistakes_in_a_dockerfile_are_said_in_its_name(mistakes):
    (found,) = mistakes("process = a.py\ndomain = study\n", files={"study/Dockerfile": "FROM base\nCOPY x /x\n"})
    assert (found.file, found.line, found.what) == ("study/Dockerfile", 2, "there is no x to copy")


def test_packages_alone_are_added_to_base(described):
    found = described("process = a.py\npackages = numpy\n").domain
    assert found.dockerfile.startswith("FROM base\nRUN python3 -m pip")
    assert found.packages == []


def test_packages_alone_are_of_the_language_of_the_process(described):
    found = described("process = a.R\npackages = dplyr\n", files={"a.R": ""}).domain
    assert (found.name, found.packages) == ("r", ["dplyr"])


def test_a_job_with_a_domain_goes_where_containers_are_and_nothing_else_is_asked_of_the_machine(described):
    wanted = described("process = a.py\ndomain = scipy\n").template["Requirements"]
    assert "(TARGET.HasContainer)" in wanted
    assert "HasPython" not in wanted


@pytest.mark.parametrize(("lines", "what"), [
    ("domain = A B", "'A B' is neither a name, nor an image, nor a file"),
    ("domain = ./nowhere", "the Dockerfile ./nowhere cannot be read: No such file or directory"),
    ("domain = debian:12 v=1", "an image takes no values, as v is one"),
    ("domain = ./study", "there is no Dockerfile in the folder ./study"),
    ("domain = a$(Process)", "domain cannot differ from job to job"),
    ("packages = numpy, npm:left-pad", "there are no packages of kind 'npm'; kinds are pip, apt, r, julia, octave"),
    ("packages = apt:jq>=1", "'apt:jq>=1': a version can be chosen of pip packages only, and of apt packages as "
     "NAME=VERSION"),
])
def test_what_cannot_be_a_domain_is_said_at_its_command(mistakes, lines, what):
    (found,) = mistakes(f"process = a.py\n{lines}\n", files={"study/x": ""})
    assert (found.line, found.what) == (2, what)
