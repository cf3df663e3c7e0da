"""pesc_fetch."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from cli.fetch import fetch_cluster, main
from contract.messages import OutputFile
from contract.requests import Batch, ClusterOutputs, Totals


def sha(content):
    return hashlib.sha256(content).hexdigest()


def a_file(path, content, executable=False):
    return OutputFile(path, sha(content), len(content), executable)


def a_rank(proc, files=(), stdout=None, **more):
    return ClusterOutputs(**{
        "proc": proc, "status": 4, "exit_code": 0, "signal": None, "machine": "lab-1", "warnings": [],
        "stdout": None if stdout is None else a_file("stdout", stdout), "stderr": a_file("stderr", b""),
        "files": list(files), **more})


@pytest.fixture
def cluster(pool):
    """A cluster of the stand-in pool: its ranks and the contents the schedd has."""

    def make(ranks, contents, total=None):
        known = {sha(content): content for content in contents}
        pool.says("GET", "/v1/clusters/12",
                  Batch(12, "lee", "ID: 12", 0.0, len(ranks) if total is None else total, Totals()))
        pool.says("GET", "/v1/clusters/12/outputs",
                  b"".join(msgspec.json.encode(rank) + b"\n" for rank in ranks))
        pool.says("POST", "/v1/blobs/fetch", lambda asked: msgspec.msgpack.encode(
            {name: known[name] for name in json.loads(asked.body) if name in known}))
        for name, content in known.items():
            def answer(asked, content=content):
                start = int(asked.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
                return 206 if start else 200, content[start:]
            pool.says("GET", f"/v1/blobs/{name}", answer)
        return pool

    return make


def test_every_rank_gets_its_files_and_the_joined_ones_are_in_order_of_rank(cluster, tmp_path):
    ranks = [a_rank(proc, [a_file("output.txt", f"r{proc}\n".encode()), a_file("deep/er/x", b"same", True)],
                    stdout=f"hello {proc}".encode()) for proc in (2, 10, 0)]
    contents = [b"same", *(f"r{n}\n".encode() for n in (0, 2, 10)), *(f"hello {n}".encode() for n in (0, 2, 10))]
    pool = cluster(ranks, contents)
    summary = fetch_cluster(pool.client, 12, str(tmp_path / "out"))
    out = tmp_path / "out"
    assert (out / "output.txt").read_text() == "r0\nr2\nr10\n"
    assert (out / "stdout.txt").read_text() == "hello 0\nhello 2\nhello 10\n"
    assert (out / "rank-10/deep/er/x").read_bytes() == b"same"
    assert (out / "rank-10/stderr").read_bytes() == b""
    assert (summary.files, summary.ranks, summary.failures) == (12, 3, [])
    assert len(pool.asked_for("/v1/blobs/fetch")) == 1
    assert [rank["rank"] for rank in json.loads((out / "summary.json").read_text())] == [0, 2, 10]
    assert (out / "summary.txt").read_text().splitlines()[1].split() == [
        "0", "completed", "exit", "code", "0", "lab-1"]


def test_files_that_are_named_are_joined_too_and_a_table_has_its_first_line_once(cluster, tmp_path):
    tables = [f"x,y\n{proc},{proc * proc}\n".encode() for proc in range(3)]
    logs = [f"begin {proc}".encode() for proc in range(3)]
    ranks = [a_rank(proc, [a_file("res/table.csv", tables[proc]), a_file("log", logs[proc])],
                    joins=["res/table.csv", "log"]) for proc in (2, 0, 1)]
    pool = cluster(ranks, [*tables, *logs])
    summary = fetch_cluster(pool.client, 12, str(tmp_path))
    assert (tmp_path / "res/table.csv").read_text() == "x,y\n0,0\n1,1\n2,4\n"
    assert (tmp_path / "log").read_text() == "begin 0\nbegin 1\nbegin 2\n"
    assert (summary.joined, summary.failures) == (["res/table.csv", "log"], [])


def test_tables_whose_first_lines_differ_are_joined_whole(cluster, tmp_path):
    tables = [b"1,2\n", b"1,3\n4,5\n"]
    pool = cluster([a_rank(proc, [a_file("t.csv", tables[proc])], joins=["t.csv"]) for proc in range(2)], tables)
    fetch_cluster(pool.client, 12, str(tmp_path))
    assert (tmp_path / "t.csv").read_text() == "1,2\n1,3\n4,5\n"


def test_a_result_that_all_ranks_have_is_no_header(cluster, tmp_path):
    pool = cluster([a_rank(proc, [a_file("t.csv", b"same, -0.5e3\n")], joins=["t.csv"]) for proc in range(2)],
                   [b"same, -0.5e3\n"])
    fetch_cluster(pool.client, 12, str(tmp_path))
    assert (tmp_path / "t.csv").read_text() == "same, -0.5e3\n" * 2


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "rows.csv", "summary.json", "rank-0/x", "output.txt"])
def test_what_would_overwrite_something_else_is_not_joined(cluster, tmp_path, name):
    pool = cluster([a_rank(0, [a_file("a", b"1")], joins=[name])], [b"1"])
    summary = fetch_cluster(pool.client, 12, str(tmp_path / "out"))
    assert summary.joined == []
    assert [failure.partition(" is not joined: ")[0] for failure in summary.failures] == [repr(name)]


def test_what_is_here_already_is_not_sent_again(cluster, tmp_path):
    pool = cluster([a_rank(0, [a_file("a", b"first"), a_file("b", b"second")])], [b"first", b"second"])
    fetch_cluster(pool.client, 12, str(tmp_path))
    (tmp_path / "rank-0/b").write_bytes(b"damage")
    summary = fetch_cluster(pool.client, 12, str(tmp_path))
    assert json.loads(pool.asked_for("/v1/blobs/fetch")[-1].body) == [sha(b"second")]
    assert (summary.files, summary.kept) == (1, 2)
    assert (tmp_path / "rank-0/b").read_bytes() == b"second"


def test_the_rows_of_a_sweep_come_as_one_table_beside_what_became_of_them(cluster, tmp_path):
    used = {"wall_seconds": 1.5, "cpu_seconds": 0.25, "memory_mib": 12.0}
    long = b"one\ntwo\n"
    ranks = [
        a_rank(10, [a_file("output.txt", long)], repetition=1, **used,
               row='{"alpha": 0.20, "how": "a, b", "ok": true}'),
        a_rank(2, [a_file("output.txt", b"0.75\n")], **used, row='{"alpha": 0.10, "how": "007", "ok": false}'),
        a_rank(3, status=3, exit_code=None, signal=9, row='{"alpha": 0.10, "how": "\u00fc", "ok": true}'),
    ]
    pool = cluster(ranks, [long, b"0.75\n"])
    summary = fetch_cluster(pool.client, 12, str(tmp_path))
    assert (tmp_path / "rows.csv").read_text() == (
        "rank,repetition,alpha,how,ok,status,exit_code,signal,wall_seconds,cpu_seconds,memory_mib,machine,output\n"
        "2,0,0.10,007,false,completed,0,,1.5,0.25,12.0,lab-1,0.75\n"
        "3,0,0.10,ü,true,removed,,9,0.0,0.0,0.0,lab-1,\n"
        '10,1,0.20,"a, b",true,completed,0,,1.5,0.25,12.0,lab-1,\n')
    assert summary.joined == ["output.txt", "rows.csv"]
    text = (tmp_path / "summary.json").read_text()
    assert '"alpha": 0.20' in text
    assert [(rank["rank"], rank["row"], rank["repetition"], rank["wall_seconds"]) for rank in json.loads(text)] == [
        (2, {"alpha": 0.1, "how": "007", "ok": False}, 0, 1.5), (3, {"alpha": 0.1, "how": "ü", "ok": True}, 0, 0.0),
        (10, {"alpha": 0.2, "how": "a, b", "ok": True}, 1, 1.5)]


def test_a_column_that_is_called_like_one_of_ours_is_told_apart(cluster, tmp_path):
    fetch_cluster(cluster([a_rank(0, row='{"rank": 5, "x": 1}')], []).client, 12, str(tmp_path))
    assert (tmp_path / "rows.csv").read_text().startswith("rank,repetition,row.rank,x,status,")


def test_a_cluster_without_rows_has_no_table_of_them(cluster, tmp_path):
    (tmp_path / "rows.csv").write_text("of another fetch")
    fetch_cluster(cluster([a_rank(0)], []).client, 12, str(tmp_path))
    assert not (tmp_path / "rows.csv").exists()
    [rank] = json.loads((tmp_path / "summary.json").read_text())
    assert "row" not in rank


def test_a_row_that_is_none_is_told(cluster, call):
    cluster([a_rank(0, row="[ x = 1 ]")], [])
    shown = call(main, "12")
    assert shown.code == 1
    assert "The row of rank 0 was not understood" in shown.err


def test_a_large_file_goes_on_where_it_stopped_and_is_sent_once_for_all_ranks(cluster, tmp_path):
    large = bytes(range(256)) * 1000
    pool = cluster([a_rank(n, [a_file("big", large)]) for n in (0, 1)], [large])
    (tmp_path / "rank-0").mkdir()
    (tmp_path / f"rank-0/.pesc-{sha(large)[:32]}.part").write_bytes(large[:1000])
    summary = fetch_cluster(pool.client, 12, str(tmp_path))
    asked = pool.asked_for(f"/v1/blobs/{sha(large)}")
    assert [one.headers["Range"] for one in asked] == ["bytes=1000-"]
    assert (tmp_path / "rank-0/big").read_bytes() == (tmp_path / "rank-1/big").read_bytes() == large
    assert summary.failures == []


@pytest.mark.parametrize("path", ["../../escaped", "/tmp/escaped", "a/../../escaped", "..", ""])
def test_a_hostile_path_is_told_and_not_written_and_the_rest_comes(cluster, tmp_path, path):
    pool = cluster([a_rank(0, [a_file(path, b"evil"), a_file("good", b"good")])], [b"evil", b"good"])
    summary = fetch_cluster(pool.client, 12, str(tmp_path / "a/b"))
    assert len(summary.failures) == 1 and "it leaves its folder" in summary.failures[0]
    written = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert written == ["a/b/rank-0/good", "a/b/rank-0/stderr", "a/b/summary.json", "a/b/summary.txt"]


def test_a_file_in_the_place_of_a_folder_is_told_and_the_rest_comes(cluster, tmp_path):
    pool = cluster([a_rank(0, [a_file("a", b"1"), a_file("a/b", b"2"), a_file("c", b"3")])], [b"1", b"2", b"3"])
    summary = fetch_cluster(pool.client, 12, str(tmp_path))
    assert len(summary.failures) == 1 and "rank-0/a/b: not written" in summary.failures[0]
    assert (tmp_path / "rank-0/c").read_bytes() == b"3"


def test_a_link_that_waits_in_the_folder_is_not_followed(cluster, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/rank-0").symlink_to(outside)
    pool = cluster([a_rank(0, [a_file("a", b"1")])], [b"1"])
    assert fetch_cluster(pool.client, 12, str(tmp_path / "out")).failures
    assert list(outside.iterdir()) == []


def test_contents_that_are_not_what_they_are_called_are_not_kept(cluster, tmp_path):
    lie = OutputFile("a", sha(b"truth"), 5)
    pool = cluster([a_rank(0, [lie])], [])
    pool.says("POST", "/v1/blobs/fetch", msgspec.msgpack.encode({sha(b"truth"): b"false"}))
    pool.says("GET", f"/v1/blobs/{sha(b'truth')}", b"false")
    summary = fetch_cluster(pool.client, 12, str(tmp_path))
    assert len(summary.failures) == 1 and "SHA-256 differs" in summary.failures[0]
    assert not (tmp_path / "rank-0/a").exists()


def test_a_content_that_is_gone_is_told_and_the_rest_comes(cluster, tmp_path):
    pool = cluster([a_rank(0, [a_file("a", b"1"), a_file("b", b"2")])], [b"2"])
    pool.says("GET", f"/v1/blobs/{sha(b'1')}", (404, b'{"code": "no_such_blob", "message": "It is gone."}'))
    assert fetch_cluster(pool.client, 12, str(tmp_path)).failures == ["rank-0/a: It is gone."]
    assert (tmp_path / "rank-0/b").exists()


def test_a_file_that_is_called_like_a_stream_does_not_hide_it(cluster, tmp_path):
    pool = cluster([a_rank(0, [a_file("stdout", b"mine")], stdout=b"said")], [b"mine", b"said"])
    fetch_cluster(pool.client, 12, str(tmp_path))
    assert (tmp_path / "rank-0/stdout").read_bytes() == b"said"
    assert (tmp_path / "rank-0/stdout.file").read_bytes() == b"mine"


def test_ranks_that_are_not_over_are_counted(cluster, call):
    cluster([a_rank(0)], [], total=10)
    shown = call(main, "12")
    assert shown.code == 0
    assert "pesc-12/: 1 of 10 ranks" in shown.out and "9 ranks have left nothing yet" in shown.out


def test_a_cluster_without_outputs_says_how_to_wait(cluster, call):
    cluster([], [], total=10)
    assert "pesc_wait 12" in call(main, "12").out


def test_a_warning_of_the_job_is_told(cluster, call):
    cluster([a_rank(0, warnings=["result.csv was promised and is not there"])], [])
    shown = call(main, "12", "-o", "here")
    assert shown.code == 0 and "rank-0: result.csv was promised" in shown.err
    assert Path("here/summary.txt").read_text().count("promised") == 1


def test_a_cluster_that_does_not_exist_is_refused(pool, call):
    pool.says("GET", "/v1/clusters/99", (404, b'{"code": "no_such_job", "message": "There is no cluster 99."}'))
    shown = call(main, "99")
    assert (shown.code, shown.err) == (1, "pesc_fetch: There is no cluster 99.\n")
    assert not Path("pesc-99").exists()


def test_a_word_in_the_place_of_a_cluster_is_a_wrong_call(call):
    assert call(main, "twelve").code == 2
