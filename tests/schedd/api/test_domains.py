"""Domains through the API: names, builds, logs; and a schedd that is killed while one is built."""

import base64
import json

import pytest

from contract.messages import AcknowledgeBuild, Build, BuildEnded, BuildProgressed, Grant, HeldBuild, Image, Recipe
from contract.problems import Problem
from contract.requests import DomainAdd, DomainAsked, DomainShown
from tests.builders import a_content, sha256

LOG = b"STEP 1/1: FROM base\n"


def an_image():
    return Image("f00d", a_content(b"[]", tree=True))


def builder(schedd, owner, **more):
    return schedd.startd(owner, ad={"START": f'TARGET.Owner == "{owner}"', "HasContainerBuild": "true"},
                         **more).welcome()


def test_a_domain_is_added_built_followed_and_used(schedd, submit):
    user = schedd.a_user()
    client = schedd.client(user)
    startd = builder(schedd, user)
    added = client.call("POST", "/v1/domains", DomainShown, DomainAdd("study", Recipe(f"FROM base\n# {user}\n")))
    build = startd.hears(Build)
    assert (build.key, build.name) == (added.key, "study")
    startd.says(BuildProgressed(build.key, build.attempt, 0, LOG, 1, 1, "FROM base"))
    log = schedd.client(user).events("/v1/domains/study/log", follow="1")
    first = json.loads(next(log).data)
    assert base64.b64decode(first["data"]) == LOG
    startd.says(BuildEnded(build.key, build.attempt, an_image(), log=a_content(LOG), blobs={sha256(LOG): LOG}))
    startd.hears(AcknowledgeBuild)
    assert json.loads(next(log).data)["last"] is True
    log.close()
    assert client.call("GET", "/v1/domains/study", DomainShown).state == "ready"
    submit(client, domain=DomainAsked("study"))
    assert startd.hears(Grant).program.built == an_image()
    startd.close()
    assert client.call("DELETE", "/v1/domains/study", dict) == {"removed": "study"}


def test_the_store_is_there_from_the_first_day(schedd):
    names = {one.name for one in schedd.client().call("GET", "/v1/domains", list[DomainShown])}
    assert {"base", "base-debian", "scipy", "r", "pytorch"} <= names


def test_files_that_are_not_here_must_be_sent_first(schedd):
    recipe = Recipe("FROM base\nCOPY a /a\n", {}, a_content(b"a tree that nobody sent", tree=True))
    with pytest.raises(Problem) as caught:
        schedd.client().call("POST", "/v1/domains", DomainShown, DomainAdd("study", recipe))
    assert caught.value.code == "missing_content"


def test_a_domain_that_is_not_there_is_refused_with_the_nearest(schedd, submit):
    with pytest.raises(Problem, match="There is no domain 'sciyp'"):
        submit(schedd.client(), domain=DomainAsked("sciyp"))


def test_a_schedd_that_is_killed_in_the_middle_of_a_build_takes_its_end_all_the_same(own_schedd, submit, me):
    submit(own_schedd.owner, domain=DomainAsked("", Recipe("FROM base\n")))
    startd = builder(own_schedd, me, name="m1")
    build = startd.hears(Build)
    own_schedd.kill()
    own_schedd.start()
    again = builder(own_schedd, me, name="m1", builds=[HeldBuild(build.key, build.attempt)])
    again.says(BuildEnded(build.key, build.attempt, an_image()))
    assert again.hears(Grant).program.built == an_image()
    again.close()
