"""Images of domains: built once, by one machine at a time, and jobs wait for theirs."""

import pytest

from contract.messages import (
    AcknowledgeBuild,
    Beat,
    Build,
    BuildEnded,
    BuildProgressed,
    CancelBuild,
    Grant,
    HeldBuild,
    Image,
    Recipe,
)
from contract.problems import Problem
from contract.requests import DomainAdd, DomainAsked, DomainBuild
from contract.vocabulary import HoldCode, JobStatus
from dsl.domains import entry_of
from schedd.core import named
from schedd.core.building import (
    BUILDER_PATIENCE_SECONDS,
    MOST_FAULTS,
    on_build_ended,
    on_build_progressed,
    waits_for,
)
from schedd.core.domains import TRANSITIONS, State, key_of_recipe
from schedd.core.runs import on_beat
from tests.builders import Lab, a_content, a_run

RECIPE = Recipe("FROM base\nRUN make\n")
KEY = key_of_recipe(RECIPE)
ASKED = DomainAsked("", RECIPE)
IMAGE = Image("f00d", a_content(b"[]", tree=True))
IDLE, RUNNING, HELD = JobStatus.IDLE, JobStatus.RUNNING, JobStatus.HELD


@pytest.fixture
def lab():
    lab = Lab()
    lab.pool.store = {"scipy": entry_of("scipy", 'description = "x"\npackages = "pip"\n[parameters]\nv = "which"',
                                        "ARG v=1\nFROM debian:${v}\n")}
    return lab


def builder(lab, name="lab-7", **more):
    return lab.connect(name, ad={"HasContainerBuild": "true"}, **more)


def builds(lab, link):
    return [(one.key, one.attempt) for one in lab.said(link) if type(one) is Build]


def ready(lab, link, attempt=1, key=KEY):
    lab.do(on_build_ended, link, BuildEnded(key, attempt, IMAGE))


def failed(lab, link, attempt=1, **more):
    lab.do(on_build_ended, link, BuildEnded(KEY, attempt, **({"step": "RUN make", "message": "exit status 2",
                                                            "lines": ["no rule"]} | more)))


def state(lab, key=KEY):
    return lab.pool.builds[key].state


# --- the good way ---


def test_jobs_wait_until_the_image_of_their_domain_is_built(lab):
    lab.submit(count=2, domain=ASKED)
    link = builder(lab)
    assert builds(lab, link) == [(KEY, 1)]
    assert (lab.status(1), waits_for(lab.pool, lab.pool.clusters[1])) == (
        IDLE, f"building domain {KEY[:12]} on lab-7")
    ready(lab, link)
    grants = [one for one in lab.said(link) if type(one) is Grant]
    assert [(grant.run, grant.program.built) for grant in grants] == [(a_run(1, 0), IMAGE), (a_run(1, 1), IMAGE)]


def test_a_build_holds_nothing_of_its_machine_and_charges_nobody(lab):
    lab.submit(domain=ASKED)
    builder(lab, cpus=1)
    assert lab.pool.machines["lab-7"].free.cpus == 1.0
    assert lab.pool.account("dana").in_use == 0.0


def test_the_same_content_is_built_once_whoever_submits_it(lab):
    lab.submit(domain=ASKED)
    lab.submit(owner="lee", domain=ASKED)
    one, other = builder(lab, "m1"), builder(lab, "m2")
    assert builds(lab, one) + builds(lab, other) == [(KEY, 1)]
    ready(lab, one)
    assert {lab.status(1), lab.status(2)} == {RUNNING}
    lab.submit(owner="kim", domain=ASKED)
    assert (lab.status(3), builds(lab, one) + builds(lab, other)) == (RUNNING, [])


def test_two_recipes_are_built_by_two_machines_side_by_side(lab):
    other = Recipe("FROM base\nRUN other\n")
    one, two = builder(lab, "m1"), builder(lab, "m2")
    lab.submit(domain=ASKED)
    lab.submit(domain=DomainAsked("", other))
    assert builds(lab, one) == [(KEY, 1)]
    assert builds(lab, two) == [(key_of_recipe(other), 1)]


def test_a_machine_builds_one_image_at_a_time(lab):
    other = Recipe("FROM base\nRUN other\n")
    link = builder(lab)
    lab.submit(domain=ASKED)
    lab.submit(domain=DomainAsked("", other))
    assert builds(lab, link) == [(KEY, 1)]
    ready(lab, link)
    assert builds(lab, link) == [(key_of_recipe(other), 1)]


def test_where_nobody_can_build_the_jobs_wait_and_say_so(lab):
    lab.submit(domain=ASKED)
    lab.connect()
    assert waits_for(lab.pool, lab.pool.clusters[1]) == f"domain {KEY[:12]} waits for a machine that can build"
    assert state(lab) is State.WANTED


def test_the_step_and_the_log_are_known_while_it_is_built(lab):
    lab.submit(domain=ASKED)
    link = builder(lab)
    lab.do(on_build_progressed, link, BuildProgressed(KEY, 1, 0, b"STEP 1/2\n", 1, 2, "FROM base"))
    lab.do(on_build_progressed, link, BuildProgressed(KEY, 1, 0, b"STEP 1/2\nSTEP 2/2\n", 2, 2, "RUN make"))
    lab.do(on_build_progressed, link, BuildProgressed(KEY, 1, 3, b"P 1/2\n", 2, 2, "RUN make"))
    assert lab.pool.live[KEY].log == b"STEP 1/2\nSTEP 2/2\n"
    assert waits_for(lab.pool, lab.pool.clusters[1]).endswith("on lab-7 (step 2/2)")


# --- bad days ---


def test_a_failed_build_holds_the_jobs_with_the_step_and_its_last_lines(lab):
    lab.submit(count=3, domain=ASKED)
    failed(lab, builder(lab))
    state_of_rest = lab.pool.clusters[1].state
    assert (state(lab), lab.counts(1), state_of_rest.rest_code) == (State.FAILED, {"held": 3}, HoldCode.DOMAIN_FAILED)
    assert "at the step RUN make: exit status 2. Its last lines: no rule" in state_of_rest.rest_reason


def test_releasing_a_job_builds_again(lab):
    lab.submit(domain=ASKED)
    link = builder(lab)
    failed(lab, link)
    lab.said(link)
    lab.act("release", "1")
    assert builds(lab, link) == [(KEY, 2)]
    ready(lab, link, attempt=2)
    assert lab.status(1) is RUNNING


def test_a_build_that_is_asked_for_again_is_built_again_and_only_then(lab):
    lab.submit(domain=ASKED)
    link = builder(lab)
    failed(lab, link)
    lab.said(link)
    assert lab.do(named.build, "dana", DomainBuild(ASKED)).state == "failed"
    assert lab.do(named.build, "dana", DomainBuild(ASKED, again=True)).state == "building"


def test_a_builder_that_is_gone_for_long_is_replaced_by_another(lab):
    lab.submit(domain=ASKED)
    one, two = builder(lab, "m1"), builder(lab, "m2")
    assert builds(lab, one) == [(KEY, 1)]
    lab.gone(one)
    lab.after(BUILDER_PATIENCE_SECONDS / 2)
    assert builds(lab, two) == []
    lab.after(BUILDER_PATIENCE_SECONDS)
    assert builds(lab, two) == [(KEY, 2)]


def test_a_builder_that_comes_back_too_late_is_told_to_stop_and_its_image_does_not_count(lab):
    lab.submit(domain=ASKED)
    one, two = builder(lab, "m1"), builder(lab, "m2")
    lab.gone(one)
    lab.after(2 * BUILDER_PATIENCE_SECONDS)
    one = builder(lab, "m1", builds=[HeldBuild(KEY, 1)])
    assert CancelBuild(KEY, 1) in lab.said(one)
    ready(lab, one, attempt=1)
    assert lab.said(one) == [AcknowledgeBuild(KEY, 1)]
    assert state(lab) is State.BUILDING
    ready(lab, two, attempt=2)
    assert state(lab) is State.READY


def test_a_builder_that_was_restarted_is_given_its_build_again(lab):
    lab.submit(domain=ASKED)
    lab.gone(builder(lab))
    again = builder(lab)
    assert builds(lab, again) == [(KEY, 1)]


def test_a_build_that_is_listed_goes_on(lab):
    lab.submit(domain=ASKED)
    lab.gone(builder(lab))
    again = builder(lab, builds=[HeldBuild(KEY, 1)])
    assert builds(lab, again) == []


def test_a_build_that_was_lost_on_its_way_is_sent_again(lab):
    lab.submit(domain=ASKED)
    link = builder(lab)
    lab.said(link)
    lab.now += 30
    lab.do(on_beat, link, Beat([]))
    assert builds(lab, link) == [(KEY, 1)]


def test_a_machine_installed_anew_has_lost_its_build(lab):
    lab.submit(domain=ASKED)
    lab.gone(builder(lab))
    again = builder(lab, identity="another")
    assert builds(lab, again) == [(KEY, 2)]


def test_what_is_the_machines_fault_is_tried_elsewhere_and_not_for_ever(lab):
    lab.submit(domain=ASKED)
    links = [builder(lab, f"m{number}") for number in range(2)]
    tried = []
    for attempt in range(1, MOST_FAULTS + 1):
        link = next(link for link in links if (KEY, attempt) in builds(lab, link))
        tried.append(link)
        failed(lab, link, attempt, blames_machine=True, message="no space left")
    assert tried[0] != tried[1]
    assert state(lab) is State.FAILED
    assert lab.status(1) is HELD


def test_an_end_that_comes_twice_counts_once(lab):
    lab.submit(domain=ASKED)
    link = builder(lab)
    ready(lab, link)
    lab.said(link)
    failed(lab, link)
    assert (state(lab), lab.said(link)) == (State.READY, [AcknowledgeBuild(KEY, 1)])


def test_ready_is_final():
    assert [turn for (before, turn) in TRANSITIONS if before is State.READY] == []


# --- names ---


def test_a_name_means_its_recipe_of_the_moment_it_was_submitted(lab):
    lab.do(named.add, "dana", False, DomainAdd("study", RECIPE))
    lab.submit(domain=DomainAsked("study"))
    lab.do(named.add, "dana", False, DomainAdd("study", Recipe("FROM base\nRUN other\n")))
    assert lab.pool.clusters[1].needs.parts("")[0].key == KEY


def test_ones_own_name_goes_before_the_pools_and_that_before_the_stores(lab):
    lab.do(named.add, "root", True, DomainAdd("scipy", Recipe("FROM base\nRUN pool\n"), everybody=True, build=False))
    lab.do(named.add, "dana", False, DomainAdd("scipy", RECIPE, build=False))
    lab.submit(domain=DomainAsked("scipy"))
    lab.submit(owner="lee", domain=DomainAsked("scipy"))
    recipes = [lab.pool.clusters[number].record.submission.domain.recipe.dockerfile for number in (1, 2)]
    assert recipes == ["FROM base\nRUN make\n", "FROM base\nRUN pool\n"]


def test_a_domain_of_the_store_takes_values_and_packages(lab):
    lab.submit(domain=DomainAsked("scipy", None, ["numpy"], {"v": "2"}))
    recipe = lab.pool.clusters[1].record.submission.domain.recipe
    assert recipe.arguments == {"v": "2"}
    assert recipe.dockerfile.startswith("ARG v=1\nFROM debian:${v}\nRUN python3 -m pip")


@pytest.mark.parametrize(("asked", "code", "what"), [
    (DomainAsked("sciyp"), "no_such_domain", "Did you mean scipy?"),
    (DomainAsked("scipy", None, [], {"w": "2"}), "bad_domain", "it has no argument 'w'"),
    (DomainAsked("", Recipe("FROM base\nRNU\n")), "bad_domain", "unknown instruction RNU"),
    (DomainAsked("scipy", None, [";rm"]), "bad_domain", "is not a package"),
])
def test_what_cannot_be_built_is_refused_at_submission(lab, asked, code, what):
    with pytest.raises(Problem, match=None) as caught:
        lab.submit(domain=asked)
    assert (caught.value.code, what in str(caught.value)) == (code, True)
    assert lab.pool.clusters == {}


def test_a_base_image_that_the_pool_does_not_allow_is_refused():
    lab = Lab(allowed_images=("docker.io/library/python",))
    with pytest.raises(Problem, match="does not allow the base image debian:12"):
        lab.submit(domain=DomainAsked("", Recipe("FROM debian:12\n")))
    lab.submit(domain=DomainAsked("", Recipe("FROM python:3.12\n")))


def test_only_an_administrator_names_things_for_everybody(lab):
    with pytest.raises(Problem, match="Only an administrator"):
        lab.do(named.add, "dana", False, DomainAdd("study", RECIPE, everybody=True))


def test_a_name_that_is_taken_away_takes_its_image_along_unless_somebody_needs_it(lab):
    link = builder(lab)
    lab.do(named.add, "dana", False, DomainAdd("study", RECIPE))
    ready(lab, link)
    lab.submit(domain=DomainAsked("study"))
    lab.do(named.remove, "dana", False, "study", False)
    assert state(lab) is State.READY
    lab.do(named.add, "dana", False, DomainAdd("study", RECIPE))
    lab.end(link, a_run())
    lab.do(named.remove, "dana", False, "study", False)
    assert lab.pool.builds == {}


def test_removing_a_domain_that_is_being_built_stops_that(lab):
    link = builder(lab)
    lab.do(named.add, "dana", False, DomainAdd("study", RECIPE))
    lab.said(link)
    lab.do(named.remove, "dana", False, "study", False)
    assert CancelBuild(KEY, 1) in lab.said(link)


def test_an_image_that_is_brought_in_is_ready(lab):
    builder(lab)
    lab.submit(domain=ASKED)
    assert lab.do(named.add, "dana", False, DomainAdd("study", RECIPE, IMAGE)).state == "ready"
    assert lab.status(1) is RUNNING


def test_a_domain_is_found_by_name_or_by_the_beginning_of_its_key(lab):
    lab.do(named.add, "dana", False, DomainAdd("study", RECIPE, build=True))
    assert named.one(lab.pool, "dana", "study").state == "wanted"
    assert named.one(lab.pool, "dana", KEY[:8]).key == KEY
    assert named.one(lab.pool, "dana", "scipy").parameters == {"v": "1"}
    with pytest.raises(Problem, match="There is no domain"):
        named.one(lab.pool, "lee", "study")


# --- what nobody uses ---


def test_an_image_that_nobody_has_needed_for_thirty_days_is_forgotten(lab):
    link = builder(lab)
    lab.do(named.build, "dana", DomainBuild(ASKED))
    ready(lab, link)
    assert lab.do(named.forget_unused) == []
    lab.now += named.UNUSED_SECONDS - 1
    assert lab.do(named.forget_unused) == []
    lab.now += 1
    assert lab.do(named.forget_unused) == [KEY[:12]]
    assert KEY not in lab.pool.builds


def test_an_image_that_has_a_name_or_a_job_is_not_forgotten_and_its_time_begins_when_they_go(lab):
    link = builder(lab)
    lab.do(named.add, "dana", False, DomainAdd("mine", RECIPE))
    lab.do(named.build, "dana", DomainBuild(ASKED))
    ready(lab, link)
    lab.do(named.forget_unused)
    lab.now += 2 * named.UNUSED_SECONDS
    assert lab.do(named.forget_unused) == []
    cluster = lab.submit(domain=ASKED, template={"Requirements": "false"})
    lab.pool.domains.clear()
    lab.now += 2 * named.UNUSED_SECONDS
    assert lab.do(named.forget_unused) == []
    lab.act("remove", str(cluster))
    lab.now += named.UNUSED_SECONDS - 1
    assert lab.do(named.forget_unused) == []
    assert KEY in lab.pool.builds


def test_what_jobs_need_now_and_then_is_not_forgotten_though_none_is_there_when_it_is_looked_at(lab):
    link = builder(lab)
    lab.do(named.build, "dana", DomainBuild(ASKED))
    ready(lab, link)
    lab.do(named.forget_unused)
    for _ in range(3):
        lab.now += named.UNUSED_SECONDS / 2
        lab.act("remove", str(lab.submit(domain=ASKED, template={"Requirements": "false"})))
        assert lab.do(named.forget_unused) == []
    assert KEY in lab.pool.builds
