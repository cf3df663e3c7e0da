"""What HTCondor's own program makes of some hundred descriptions, and what we make of them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.dryrun import job
from cli.localfiles import LocalFiles
from dsl import classad
from dsl.submit import Site, SubmitErrors, read

DATA = Path(__file__).parent / "data"
VECTORS = [json.loads(line) for line in (DATA / "submit-vectors.jsonl").read_text().splitlines()]
MACHINES = json.loads((DATA / "submit-machines.json").read_text())
BASE = {"HOME": "/home/u", "USER": "u", "PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC"}

STRICTER = {
    "s125": "a function that fails is an error; HTCondor complains and submits an empty argument",
    "s245": "likewise, with a disk that is no number",
    "s244": "a machine whose disk is too small never matches; HTCondor lets machines of 25.12 and later find out",
}


def described(vector, folder):
    for name, content in vector["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        if content.startswith("#!"):
            path.chmod(0o755)
    variables, appended = {}, []
    words = iter(vector.get("args", []))
    for word in words:
        if word == "-append":
            appended.append(next(words))
        else:
            name, _, value = word.partition("=")
            variables[name] = value
    site = Site(arch="X86_64", opsys="LINUX", user="u", iwd=str(folder), file_system_domain="example.org",
                now=datetime(2026, 1, 2, tzinfo=UTC))
    return read(vector["submit"], name="job.sub", files=LocalFiles(str(folder)), variables=variables,
                appended=appended, environ=BASE | vector.get("env", {}), site=site)


def outcome(vector, folder):
    """A Description, or the mistakes."""
    try:
        return described(vector, folder)
    except SubmitErrors as errors:
        return errors


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Every vector with its folder and what came of it."""
    folders = ((vector, tmp_path_factory.mktemp(vector["id"])) for vector in VECTORS)
    return {vector["id"]: (vector, folder, outcome(vector, folder)) for vector, folder in folders}


@pytest.mark.parametrize("name", [vector["id"] for vector in VECTORS])
def test_a_description_means_what_it_means_to_htcondor(name, outcomes):
    vector, folder, found = outcomes[name]
    expected = vector["expect"]
    if isinstance(found, SubmitErrors):
        assert not expected["ok"] or name in STRICTER, str(found)
        return
    assert expected["ok"], "HTCondor refuses it"
    assert found.count == expected["nprocs"]
    assert sorted(found.unused) == sorted(expected.get("unused", []))
    expander = found.expander()
    for proc in expected["procs"]:
        ad = {**found.template, **expander.attributes(1, proc["ProcId"])}
        check_job(name, localised(proc, folder), job(proc["ProcId"], ad), ad)


def localised(proc, folder):
    return json.loads(json.dumps(proc).replace("${DIR}", str(folder)).replace("${USER}", "u"))


def check_job(name, expected, ours, ad):
    for key in ("Cmd", "Iwd", "Log", "In", "Out", "Err", "argv", "env"):
        if key in expected:
            assert ours[key] == expected[key], key
    assert ours["held"] == expected.get("held", False)
    for attribute, text in expected["attrs"].items():
        assert attribute in ad, attribute
        assert str(classad.parse(ad[attribute])) == str(classad.parse(text)), attribute
    job_ad = classad.Ad.from_texts(ad)
    for machine, answer in expected["match"].items():
        if name in STRICTER and machine == "m7-full":
            continue
        target = classad.Ad.parse(MACHINES[machine])
        value = classad.parse(ad["Requirements"]).evaluate(job_ad, target)
        assert classad.is_true(value) == (answer == "T"), f"{machine}: {ad['Requirements']}"
