"""Where a pool lies and how it is found."""

import os
import socket
from pathlib import Path

import msgspec
import pytest

from contract.places import Places, PoolAddress, read_address, state_folder
from contract.problems import Problem


def test_the_chosen_folder_wins_over_all_others():
    environ = {"PESC_HOME": "/home/of/pesc", "XDG_STATE_HOME": "/xdg"}
    assert state_folder("/chosen", environ) == Path("/chosen")
    assert state_folder(None, environ) == Path("/home/of/pesc")
    assert state_folder(None, {"XDG_STATE_HOME": "/xdg"}) == Path("/xdg/pesc")
    assert state_folder(None, {}) == Path.home() / ".local" / "state" / "pesc"


def test_an_empty_variable_counts_as_none():
    assert state_folder("", {"PESC_HOME": "", "XDG_STATE_HOME": ""}) == Path.home() / ".local" / "state" / "pesc"


def test_a_relative_folder_is_meant_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert state_folder("here", {}) == tmp_path / "here"
    assert state_folder(None, {"PESC_HOME": "~/there"}) == Path.home() / "there"


def test_the_socket_lies_in_the_state_folder_when_its_path_is_short():
    assert Places(Path("/var/pesc")).socket == Path("/var/pesc/run/schedd.sock")


@pytest.mark.parametrize("character", ["d", "é"])
def test_a_deep_state_folder_has_a_socket_that_can_be_bound(tmp_path, character):
    places = Places(tmp_path / (character * 120))
    assert len(os.fsencode(places.socket)) < 108
    assert places.socket != Places(tmp_path / (character * 121)).socket
    places.socket.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(places.socket))
    places.socket.unlink()
    places.socket.parent.rmdir()


def test_the_socket_is_the_same_each_time_it_is_asked_for(tmp_path):
    deep = tmp_path / ("d" * 120)
    assert Places(deep).socket == Places(deep).socket


def test_two_startds_do_not_share_a_folder():
    places = Places(Path("/var/pesc"))
    assert places.startd("a") != places.startd("b")


def test_a_written_address_is_read(tmp_path):
    address = PoolAddress("lab", "http://127.0.0.1:9618", "/run/schedd.sock")
    (tmp_path / "pool.json").write_bytes(msgspec.json.encode(address))
    assert read_address(Places(tmp_path)) == address


def test_where_there_is_no_pool_the_cure_is_to_start_one(tmp_path):
    with pytest.raises(Problem, match="There is no pool in") as caught:
        read_address(Places(tmp_path))
    assert caught.value.code == "no_pool"
    assert "pesc_pool start" in caught.value.cure


@pytest.mark.parametrize("written", [b"", b"{", b"[]", b'{"pool": 1}', b"\xff\xfe"])
def test_a_broken_address_is_a_problem_with_a_cure(tmp_path, written):
    (tmp_path / "pool.json").write_bytes(written)
    with pytest.raises(Problem, match=r"pool\.json cannot be read") as caught:
        read_address(Places(tmp_path))
    assert "pesc_pool start" in caught.value.cure
