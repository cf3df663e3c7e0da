"""Spot notices, against imitations of the three metadata services on loopback."""

import asyncio
import http.server
import json
import threading

import pytest

from startd.monitors.spot import Auto, Aws, Azure, Gcp, Notice, poller_of, watch
from tests.builders import NOON

TOKEN = "imds-token"


class Service(http.server.ThreadingHTTPServer):
    """What is in `pages` (method and path, headers it asks for, what it says) is served; all else is not found."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.pages = {}
        self.asked = threading.Semaphore(0)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answers(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.server.asked.release()
        headers, said = self.server.pages.get(f"{self.command} {self.path}", (None, None))
        if said is None:
            self.send_error(404)
        elif any(self.headers.get(name) != value for name, value in headers.items()):
            self.send_error(401)
        else:
            raw = said.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    do_GET = do_PUT = answer

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    with Service() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def aws(service, action=None):
    service.pages["PUT /latest/api/token"] = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}, TOKEN
    if action is not None:
        service.pages["GET /latest/meta-data/spot/instance-action"] = {"X-aws-ec2-metadata-token": TOKEN}, action
    return Aws(service.url)


def gcp(service, preempted):
    service.pages["GET /computeMetadata/v1/instance/preempted"] = {"Metadata-Flavor": "Google"}, preempted
    return Gcp(service.url)


def azure(service, *events, name="vm-1"):
    asks = {"Metadata": "true"}
    service.pages["GET /metadata/scheduledevents?api-version=2020-07-01"] = asks, json.dumps(
        {"DocumentIncarnation": 1, "Events": list(events)})
    service.pages["GET /metadata/instance/compute/name?api-version=2021-02-01&format=text"] = asks, name
    return Azure(service.url)


PREEMPT = {"EventId": "1", "EventType": "Preempt", "ResourceType": "VirtualMachine", "Resources": ["vm-1"],
           "EventStatus": "Scheduled", "NotBefore": "Sat, 21 Nov 2026 12:00:30 GMT"}


def test_aws_says_what_it_will_do_and_when(service):
    poller = aws(service)
    assert poller.notice(NOON) is None
    aws(service, '{"action": "stop", "time": "2026-11-21T12:02:00Z"}')
    assert poller.notice(NOON) == Notice("AWS will stop this spot machine", 120.0)
    assert poller.notice(NOON + 90).seconds == 30.0
    assert poller.notice(NOON + 900).seconds == 0.0


def test_an_aws_notice_without_a_proper_time_is_what_aws_promises(service):
    assert aws(service, '{"action": "terminate"}').notice(NOON).seconds == 120.0
    assert aws(service, '{"action": "terminate", "time": "soon"}').notice(NOON).seconds == 120.0


def test_gcp_says_true_half_a_minute_ahead(service):
    assert gcp(service, "FALSE").notice(NOON) is None
    assert gcp(service, "TRUE\n").notice(NOON) == Notice("GCP preempts this machine", 30.0)


def test_azure_names_the_machines_and_the_earliest_moment(service):
    assert azure(service).notice(NOON) is None
    assert azure(service, PREEMPT).notice(NOON) == Notice("Azure preempts this machine", 30.0)
    assert azure(service, PREEMPT | {"NotBefore": ""}).notice(NOON).seconds == 30.0


@pytest.mark.parametrize("other", [{"EventType": "Reboot"}, {"Resources": ["vm-2"]}])
def test_what_azure_plans_with_others_or_otherwise_is_no_notice(service, other):
    assert azure(service, PREEMPT | other).notice(NOON) is None


@pytest.mark.parametrize("make", [Aws, Gcp, Azure])
def test_a_service_of_somebody_else_is_none_of_its_own(service, make):
    with pytest.raises(OSError):
        make(service.url).notice(NOON)


@pytest.mark.parametrize("said", ["not json", "[]", '{"Events": {}}', '{"Events": [1, {}]}'])
def test_nonsense_is_no_notice(service, said):
    aws(service, said)
    azure(service)
    service.pages["GET /metadata/scheduledevents?api-version=2020-07-01"] = {"Metadata": "true"}, said
    for poller in (Aws(service.url), Azure(service.url)):
        try:
            notice = poller.notice(NOON)
        except (OSError, ValueError):
            continue
        assert notice is None or isinstance(poller, Aws)


@pytest.mark.parametrize("make", [lambda s: aws(s, '{"action": "stop"}'), lambda s: gcp(s, "TRUE"),
                                  lambda s: azure(s, PREEMPT)])
def test_whichever_provider_answers_is_found(service, make):
    make(service)
    auto = Auto(Aws(service.url), Gcp(service.url), Azure(service.url))
    assert auto.notice(NOON) is not None


def test_where_nobody_answers_is_no_provider(service):
    with pytest.raises(OSError):
        Auto(Aws(service.url), Gcp(service.url), Azure(service.url)).notice(NOON)


def test_a_service_may_be_named_that_is_elsewhere(service):
    gcp(service, "TRUE")
    assert poller_of(f"gcp={service.url}/").notice(NOON) is not None
    with pytest.raises(ValueError, match="none of auto, aws, gcp, azure"):
        poller_of("ibm")


def test_watching_goes_on_until_there_is_a_notice_whatever_fails_meanwhile(service):
    async def story():
        watching = asyncio.create_task(watch(Gcp(service.url), lambda: NOON, poll_seconds=0.001))
        await asyncio.to_thread(service.asked.acquire)         # nobody there
        gcp(service, "FALSE")
        for _ in range(2):
            await asyncio.to_thread(service.asked.acquire)
        gcp(service, "TRUE")
        return await watching

    assert asyncio.run(asyncio.wait_for(story(), 60)).seconds == 30.0
