"""What holds for all tests.

With PESC_STRICT=1 a skipped test is a failed one: nothing may go untested for want of a tool.
Nothing of the caller's own PESC settings comes through, so no test can touch the caller's pool.
How long an example of a property takes is nothing to fail for: the machine may have other things to do.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("house")

STRICT = os.environ.get("PESC_STRICT") == "1"

for name in [name for name in os.environ if name.startswith("PESC_") and name != "PESC_SEEDS"]:
    del os.environ[name]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which PESC_STRICT=1 forbids: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which PESC_STRICT=1 forbids: {report.longrepr}"
    return report
