"""pesc_exec, as far as it goes without a machine; tests/system/test_exec.py goes all the way."""

import pytest

from cli.exec import main


@pytest.mark.parametrize(("arguments", "words"), [
    (["twelve"], "'twelve' is not a job"),
    (["--tty", "--no-tty", "12.3"], "cannot both be meant"),
    (["12.3", "--tty", "bash"], "'--tty' comes after the job: options go before it"),
    (["12.3", "\udcff"], "the command is not valid UTF-8"),
    ([], "JOB"),
])
def test_a_wrong_call_is_explained(call, arguments, words):
    shown = call(main, *arguments)
    assert (shown.code, words in shown.err) == (2, True)


def test_a_stranger_at_the_address_is_not_believed(pool, call):
    pool.says("GET", "/v1/jobs/12.3/exec", (200, b"Welcome to nginx!"))
    shown = call(main, "12.3")
    assert (shown.code, "refuses a WebSocket" in shown.err) == (1, True)
