"""The HTTP API as one table: path, method, who may call it, what it is for.

The schedd serves exactly this, checks every token against it and draws its OpenAPI
document from it; `tests/contract` checks that nothing is served that is not here.
"""

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What a token lets its bearer do. An administrator may do everything."""

    USER = "user"
    """Submit, and act on one's own jobs."""
    OPERATOR = "operator"
    """Act on everybody's jobs."""
    ADMIN = "admin"
    STARTD = "startd"
    """Be a machine: connect, fetch contents, bring results."""


ANYONE: frozenset[Role] = frozenset()
PEOPLE = frozenset({Role.USER, Role.OPERATOR, Role.ADMIN})
CARRIERS = frozenset({Role.USER, Role.OPERATOR, Role.ADMIN, Role.STARTD})
ADMINS = frozenset({Role.ADMIN})
MACHINES = frozenset({Role.STARTD, Role.ADMIN})


class Endpoint(NamedTuple):
    """One row. `roles` empty: no token is asked for."""

    name: str
    method: str
    path: str
    roles: frozenset[Role]
    summary: str
    query: tuple[str, ...] = ()


ENDPOINTS = (
    Endpoint("version", "GET", "/v1/version", ANYONE, "Who answers here, and which protocol it speaks"),
    Endpoint("openapi", "GET", "/v1/openapi.json", ANYONE, "This table, as an OpenAPI document"),
    Endpoint("metrics", "GET", "/metrics", PEOPLE, "Counters and gauges for Prometheus"),
    Endpoint("submit", "POST", "/v1/clusters", PEOPLE, "Queue one cluster (Submission → Submitted)"),
    Endpoint("cluster", "GET", "/v1/clusters/{cluster}", PEOPLE, "One cluster: its batch line, even when it is over"),
    Endpoint("outputs", "GET", "/v1/clusters/{cluster}/outputs", PEOPLE,
             "What the jobs of a cluster left behind, one JSON ClusterOutputs a line"),
    Endpoint("queue", "GET", "/v1/queue", PEOPLE, "Batches and totals of the queue", ("owner", "id")),
    Endpoint("jobs", "GET", "/v1/jobs", PEOPLE, "Ads of jobs in the queue",
             ("id", "owner", "constraint", "attributes", "limit")),
    Endpoint("history", "GET", "/v1/history", PEOPLE, "Ads of jobs that have left the queue, latest first",
             ("id", "owner", "constraint", "attributes", "limit")),
    Endpoint("peaks", "GET", "/v1/peaks", PEOPLE,
             "What the runs of each program used at most, the latest program first; `program` is its file's name, its "
             "path or the beginning of its SHA-256", ("owner", "program", "domain", "limit")),
    Endpoint("act", "POST", "/v1/actions", PEOPLE, "Hold, release, remove or prioritise jobs (Action → ActionAnswer)"),
    Endpoint("drain", "POST", "/v1/drains", ADMINS,
             "Empty a machine with notice, or take it back into service (DrainOrder → DrainAnswer)"),
    Endpoint("machines", "GET", "/v1/machines", PEOPLE, "Ads of the machines", ("constraint", "attributes")),
    Endpoint("events", "GET", "/v1/events", PEOPLE,
             "Server-sent events; resumes after `since` or Last-Event-ID. With counts=1 only `counts` events: "
             "the Batch of the cluster, whenever it changes, at most ten a second",
             ("since", "cluster", "counts")),
    Endpoint("tail", "GET", "/v1/jobs/{job}/output", PEOPLE,
             "Server-sent `chunk` events: base64 data of stdout or stderr from an offset on, and what comes",
             ("stream", "offset", "follow")),
    Endpoint("exec", "GET", "/v1/jobs/{job}/exec", PEOPLE,
             "WebSocket of a shell or command in the place of a running job (see contract/shells.py)"),
    Endpoint("domains", "GET", "/v1/domains", PEOPLE, "Domains of the pool, of the store and of the user"),
    Endpoint("domain", "GET", "/v1/domains/{name}", PEOPLE, "One domain, by name or key, with its Dockerfile"),
    Endpoint("add_domain", "POST", "/v1/domains", PEOPLE, "Give a name to a recipe (DomainAdd → DomainShown)"),
    Endpoint("build_domain", "POST", "/v1/domains/build", PEOPLE,
             "Build a domain before jobs need it, or again after it failed (DomainBuild → DomainShown)"),
    Endpoint("remove_domain", "DELETE", "/v1/domains/{name}", PEOPLE, "Take a name away", ("everybody",)),
    Endpoint("domain_log", "GET", "/v1/domains/{name}/log", PEOPLE,
             "Server-sent `chunk` events: base64 data of what its build printed from an offset on, and what comes",
             ("offset", "follow")),
    Endpoint("missing_blobs", "POST", "/v1/blobs/missing", CARRIERS, "Of these SHA-256 names, which are not here?"),
    Endpoint("put_pack", "POST", "/v1/blobs/pack", CARRIERS, "Many small contents in one body (msgpack list of bytes)"),
    Endpoint("get_pack", "POST", "/v1/blobs/fetch", CARRIERS,
             "Several small contents in one answer (JSON list of names → msgpack map of name to bytes; those "
             "too large for one answer are left out)"),
    Endpoint("blob_offset", "HEAD", "/v1/blobs/{sha256}", CARRIERS, "How much of a content is here already"),
    Endpoint("put_blob", "PUT", "/v1/blobs/{sha256}", CARRIERS,
             "One content, from `offset` on; verified when complete", ("offset", "size")),
    Endpoint("get_blob", "GET", "/v1/blobs/{sha256}", CARRIERS, "One content; honours Range: bytes=N-"),
    Endpoint("startd", "GET", "/v1/startd", MACHINES, "WebSocket of a startd (see contract/messages.py)"),
    Endpoint("make_token", "POST", "/v1/tokens", ADMINS, "Sign a token (TokenRequest → {token})"),
)

BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}
