"""The contract with user code, word by word."""

import json

import pytest

from startd.core.contract import Folders, Person, contract_arguments, environment, interpreter_for, job_file
from tests.builders import a_gpu, a_grant, a_program, amounts

FOLDERS = Folders("/runs/1.3.1", "/trees/abc")
PERSON = Person("dana", "/usr/bin:/bin")


def test_arguments_are_those_of_the_thesis():
    program = a_program(contract=True, rank=3, world_size=10)
    assert contract_arguments(program, FOLDERS) == [
        "--app_dir", "/trees/abc",
        "--checkpoint_dir", "/runs/1.3.1/checkpoint",
        "--output_dir", "/runs/1.3.1/output",
        "--rank", "3",
        "--world_size", "10",
        "--repetitions", "10",
        "--master_addr", "127.0.0.1",
        "--master_port", "0",
    ]


def test_parameters_come_last_each_its_own_argument():
    program = a_program(contract=True, parameters=["0.5", "two words", "--odd"])
    assert contract_arguments(program, FOLDERS)[-4:] == ["--parameters", "0.5", "two words", "--odd"]


def test_a_contract_program_finds_the_same_in_its_environment():
    grant = a_grant(program=a_program(contract=True, rank=3, world_size=10, parameters=["a", "b"]))
    assert environment(grant, FOLDERS, PERSON) == {
        "PATH": "/usr/bin:/bin",
        "HOME": "/runs/1.3.1/work",
        "USER": "dana",
        "LOGNAME": "dana",
        "LANG": "C.UTF-8",
        "TMPDIR": "/runs/1.3.1/tmp",
        "_CONDOR_SCRATCH_DIR": "/runs/1.3.1/work",
        "_CONDOR_SLOT": "slot1",
        "PESC_RANK": "3",
        "PESC_WORLD_SIZE": "10",
        "PESC_PROGRESS_FILE": "/runs/1.3.1/tmp/pesc_progress",
        "PESC_APP_DIR": "/trees/abc",
        "PESC_CHECKPOINT_DIR": "/runs/1.3.1/checkpoint",
        "PESC_OUTPUT_DIR": "/runs/1.3.1/output",
        "PESC_REPETITIONS": "10",
        "PESC_MASTER_ADDR": "127.0.0.1",
        "PESC_MASTER_PORT": "0",
        "PESC_PARAMETERS": "a b",
        "PESC_JOB": "/runs/1.3.1/job.json",
        "CUDA_VISIBLE_DEVICES": "",
        "NVIDIA_VISIBLE_DEVICES": "void",
    }


def test_a_plain_program_gets_no_folders_of_the_contract():
    names = environment(a_grant(), FOLDERS, PERSON).keys()
    assert {name for name in names if name.startswith("PESC_")} == {
        "PESC_RANK", "PESC_WORLD_SIZE", "PESC_PROGRESS_FILE"}


def test_what_the_job_asks_for_wins():
    grant = a_grant(program=a_program(environment={"HOME": "/home/dana", "COLOUR": "blue"}))
    found = environment(grant, FOLDERS, PERSON)
    assert (found["HOME"], found["COLOUR"]) == ("/home/dana", "blue")


def test_a_run_sees_the_gpus_that_it_was_granted_and_no_others():
    claim = amounts(gpus=(a_gpu("GPU-1"), a_gpu("MIG-2")))
    grant = a_grant(claim=claim, program=a_program(environment={"CUDA_VISIBLE_DEVICES": "0,1,2,3"}))
    found = environment(grant, FOLDERS, PERSON)
    names = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "_CONDOR_AssignedGPUs", "PESC_GPUS")
    assert {found[name] for name in names} == {"GPU-1,MIG-2"}
    assert json.loads(job_file(grant, FOLDERS))["gpus"] == ["GPU-1", "MIG-2"]


def test_a_run_that_asked_for_no_gpu_sees_none_whatever_its_environment_says():
    grant = a_grant(program=a_program(environment={"CUDA_VISIBLE_DEVICES": "0", "NVIDIA_VISIBLE_DEVICES": "all"}))
    found = environment(grant, FOLDERS, PERSON)
    assert (found["CUDA_VISIBLE_DEVICES"], found["NVIDIA_VISIBLE_DEVICES"]) == ("", "void")


def test_the_job_file_says_all_of_it_and_the_ad():
    grant = a_grant(program=a_program(contract=True, rank=3, world_size=10, parameters=["a", "two words"]),
                    ad={"RequestCpus": "1", "Owner": '"dana"'})
    assert json.loads(job_file(grant, FOLDERS)) == {
        "job": "1.0", "attempt": 1, "owner": "dana",
        "app_dir": "/trees/abc", "checkpoint_dir": "/runs/1.3.1/checkpoint", "output_dir": "/runs/1.3.1/output",
        "rank": 3, "world_size": 10, "repetitions": 10, "master_addr": "127.0.0.1", "master_port": 0,
        "parameters": ["a", "two words"],
        "cpus": 1.0, "memory_mib": 128, "disk_kib": 1024, "gpus": [],
        "ad": {"Owner": '"dana"', "RequestCpus": "1"},
    }


ROW = '{"alpha": 0.10, "how": "fast"}'


def test_a_row_is_told_by_variable_and_in_the_job_file_as_it_is_written():
    grant = a_grant(program=a_program(contract=True, row=ROW, repetition=2))
    found = environment(grant, FOLDERS, PERSON)
    assert (found["PESC_ROW"], found["PESC_REPETITION"]) == (ROW, "2")
    written = job_file(grant, FOLDERS)
    assert b'"alpha": 0.10,' in written
    told = json.loads(written)
    assert (told["row"], told["repetition"]) == ({"alpha": 0.1, "how": "fast"}, 2)


def test_a_plain_program_is_told_its_row_too():
    names = environment(a_grant(program=a_program(row=ROW)), FOLDERS, PERSON).keys()
    assert {name for name in names if name.startswith("PESC_")} == {
        "PESC_RANK", "PESC_WORLD_SIZE", "PESC_PROGRESS_FILE", "PESC_ROW", "PESC_REPETITION"}


def test_a_row_that_no_variable_can_hold_is_in_the_job_file_alone():
    grant = a_grant(program=a_program(contract=True, row=json.dumps({"text": "x" * 140_000})))
    assert "PESC_ROW" not in environment(grant, FOLDERS, PERSON)
    assert len(json.loads(job_file(grant, FOLDERS))["row"]["text"]) == 140_000


@pytest.mark.parametrize(("main", "begins_with", "expected"), [
    ("sim.py", b"", ("python3",)),
    ("sim.PY", b"", ("python3",)),
    ("fit.R", b"", ("Rscript",)),
    ("fit.r", b"", ("Rscript",)),
    ("solve.jl", b"", ("julia",)),
    ("model.m", b"", ("octave-cli", "--quiet", "--no-history")),
    ("app.jar", b"", ("java", "-jar")),
    ("run.sh", b"echo no first line\n", ("sh",)),
    ("run.sh", b"#!/bin/bash\necho\n", ("/bin/bash",)),
    ("run.sh", b"#! /usr/bin/env bash\n", ("/usr/bin/env", "bash")),
    ("solver", b"\x7fELF", ()),
])
def test_the_interpreter_follows_from_the_ending(main, begins_with, expected):
    assert interpreter_for(main, begins_with) == expected


@pytest.mark.parametrize(("main", "language", "expected"), [
    ("run", "python", ("python3",)),
    ("run.txt", "r", ("Rscript",)),
    ("run.py", "native", ()),
    ("run.m", "python", ("python3",)),
    ("run", "shell", ("/bin/bash",)),
    ("run.py", "", ("python3",)),
    ("run.py", "cobol", ("python3",)),
])
def test_a_language_that_is_said_goes_before_the_ending(main, language, expected):
    assert interpreter_for(main, b"#!/bin/bash\n", language) == expected
