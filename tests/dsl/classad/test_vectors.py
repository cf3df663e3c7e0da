"""Every recorded result of HTCondor 25.14.1, against ours.

`data/deviations.json` lists the recorded accidents (tag `quirk`) with which we
disagree on purpose; it is also the table in docs/reference/classads.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsl.classad import Ad, ClassAdSyntaxError, flatten, old_text, parse, parse_old, references, symmetric_match
from tests.dsl.classad.encoding import encoded, same

DATA = Path(__file__).parent / "data"
VECTORS = [json.loads(line) for line in (DATA / "classad-vectors.jsonl").read_text().splitlines()]
DEVIATIONS = json.loads((DATA / "deviations.json").read_text())
DEVIATING = {number for deviation in DEVIATIONS for number in deviation["vectors"]}
NOW = 1_750_000_000.0


def an_ad(text: str | None) -> Ad | None:
    return None if text is None else Ad.parse(text)


def evaluated(expression: str, my: Ad | None, target: Ad | None) -> dict[str, Any]:
    try:
        return encoded(parse(expression).evaluate(my, target, now=NOW, seed=1))
    except ClassAdSyntaxError:
        return {"t": "parse-error"}


def eval_agrees(vector: dict[str, Any]) -> bool:
    return same(evaluated(vector["expr"], an_ad(vector["my"]), an_ad(vector["target"])), vector["result"])


def match_agrees(vector: dict[str, Any]) -> bool:
    left, right, result = Ad.parse(vector["left"]), Ad.parse(vector["right"]), vector["result"]
    return (
        symmetric_match(left, right, now=NOW) == result["match"]
        and same(evaluated("Requirements", left, right), result["left"])
        and same(evaluated("Requirements", right, left), result["right"])
        and same(evaluated("Rank", left, right), result["rank"])
    )


def unparse_agrees(vector: dict[str, Any]) -> bool:
    return str(parse(vector["expr"])) == vector["result"]


def flatten_agrees(vector: dict[str, Any]) -> bool:
    flat, result = flatten(parse(vector["expr"]), Ad.parse(vector["my"])), vector["result"]
    if "value" in result:
        return flat.is_literal and same(encoded(flat.constant), result["value"])
    return str(flat) == result["tree"]


def refs_agrees(vector: dict[str, Any]) -> bool:
    internal, external = references(parse(vector["expr"]), Ad.parse(vector["my"]))
    return internal == set(vector["result"]["internal"]) and external == set(vector["result"]["external"])


def parse_old_agrees(vector: dict[str, Any]) -> bool:
    return str(parse_old(vector["text"])) == vector["result"]["ad"]


def print_agrees(vector: dict[str, Any]) -> bool:
    ad, result = Ad.parse(vector["my"]), vector["result"]
    return (
        str(ad) == result["new"]
        and old_text(ad) == "\n".join(result["old"])
        and json.dumps(ad.to_json(), sort_keys=True) == json.dumps(result["json"], sort_keys=True)
    )


AGREES = {
    "eval": eval_agrees,
    "match": match_agrees,
    "unparse": unparse_agrees,
    "flatten": flatten_agrees,
    "refs": refs_agrees,
    "parse-old": parse_old_agrees,
    "print": print_agrees,
}


@pytest.mark.parametrize("kind", AGREES)
def test_every_recorded_result_is_ours_too(kind: str) -> None:
    ours = [vector for vector in VECTORS if vector["kind"] == kind and vector["id"] not in DEVIATING]
    assert [vector for vector in ours if not AGREES[kind](vector)] == []


def test_every_listed_deviation_is_a_quirk_and_still_deviates() -> None:
    listed = [vector for vector in VECTORS if vector["id"] in DEVIATING]
    assert len(listed) == len(DEVIATING)
    assert [vector["id"] for vector in listed if "quirk" not in vector["tags"] or AGREES[vector["kind"]](vector)] == []


def test_the_documentation_lists_every_deviation() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/classads.md").read_text()
    rows = [f"| `{each['example']}` | {each['htcondor']} | {each['pesc']} | {each['reason']} |" for each in DEVIATIONS]
    assert [row for row in rows if row not in page] == []
