"""The OpenAPI document, drawn from the table of endpoints and the structs of the contract."""

import functools
import re
from typing import Any

import msgspec

from contract.endpoints import ENDPOINTS, Endpoint
from contract.problems import ProblemBody
from contract.requests import (
    Action,
    ActionAnswer,
    Batch,
    ClusterOutputs,
    DomainAdd,
    DomainBuild,
    DomainShown,
    ProgramPeaks,
    Queue,
    Submission,
    Submitted,
    TokenRequest,
)
from contract.vocabulary import VERSION

JSON, MSGPACK, BYTES = "application/json", "application/msgpack", "application/octet-stream"
STREAM = "text/event-stream"

TAKES: dict[str, tuple[str, Any]] = {
    "submit": (JSON, Submission),
    "act": (JSON, Action),
    "add_domain": (JSON, DomainAdd),
    "build_domain": (JSON, DomainBuild),
    "missing_blobs": (JSON, list[str]),
    "get_pack": (JSON, list[str]),
    "put_pack": (MSGPACK, None),
    "put_blob": (BYTES, None),
    "make_token": (JSON, TokenRequest),
}

GIVES: dict[str, tuple[str, Any]] = {
    "version": (JSON, dict[str, Any]),
    "openapi": (JSON, dict[str, Any]),
    "metrics": ("text/plain", None),
    "submit": (JSON, Submitted),
    "cluster": (JSON, Batch),
    "outputs": ("application/x-ndjson", ClusterOutputs),
    "queue": (JSON, Queue),
    "jobs": (JSON, list[dict[str, Any]]),
    "history": (JSON, list[dict[str, Any]]),
    "peaks": (JSON, list[ProgramPeaks]),
    "act": (JSON, ActionAnswer),
    "machines": (JSON, list[dict[str, Any]]),
    "events": (STREAM, None),
    "tail": (STREAM, None),
    "domains": (JSON, list[DomainShown]),
    "domain": (JSON, DomainShown),
    "add_domain": (JSON, DomainShown),
    "build_domain": (JSON, DomainShown),
    "remove_domain": (JSON, dict[str, str]),
    "domain_log": (STREAM, None),
    "missing_blobs": (JSON, list[str]),
    "put_pack": (JSON, dict[str, int]),
    "get_pack": (MSGPACK, None),
    "put_blob": (JSON, dict[str, int]),
    "get_blob": (BYTES, None),
    "make_token": (JSON, dict[str, str]),
}


@functools.cache
def document() -> dict[str, Any]:
    """The whole document."""
    types = [kind for _, kind in (*TAKES.values(), *GIVES.values()) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, ProblemBody], ref_template="#/components/schemas/{name}")
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=False)}
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schema_of, schemas[-1])
    return {
        "openapi": "3.1.0",
        "info": {"title": "PESC", "version": VERSION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "pesc1"}},
        },
    }


def _operation(endpoint: Endpoint, schema_of: dict[int, Any], problem: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
              for name in re.findall(r"\{(\w+)\}", endpoint.path)),
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in endpoint.query),
        ],
        "responses": {
            "200": {"description": "Done", **_content(GIVES.get(endpoint.name), schema_of)},
            "default": {"description": "Refused", "content": {JSON: {"schema": problem}}},
        },
    }
    if endpoint.name in TAKES:
        operation["requestBody"] = {"required": True, **_content(TAKES[endpoint.name], schema_of)}
    if endpoint.roles:
        operation["security"] = [{"token": sorted(endpoint.roles)}]
    return operation


def _content(what: tuple[str, Any] | None, schema_of: dict[int, Any]) -> dict[str, Any]:
    if what is None:
        return {}
    media, kind = what
    schema = {"type": "string", "format": "binary"} if kind is None else schema_of[id(kind)]
    return {"content": {media: {"schema": schema}}}
