"""What is built for kinds of processors: variants of domains, and programs made from their sources."""

import pytest

from contract.messages import Build, BuildEnded, Grant, Image, Recipe
from contract.problems import Problem
from contract.requests import DomainAdd, DomainAsked, DomainBuild
from contract.vocabulary import JobStatus
from schedd.core import named
from schedd.core.building import on_build_ended, waits_for
from tests.builders import Lab, a_content

SOURCES = a_content(b"[]", tree=True)
PRODUCT = a_content(b"[made]", tree=True)
RECIPE = Recipe("FROM base\n")
VARIED = Recipe("FROM base\nARG PESC_MICROARCH=x86-64-v2,x86-64-v3\nRUN make\n")
PROGRAM = {"PescProcess": '"/home/src"', "PescMain": '"sim"', "PescBuild": '"make sim"', "Iwd": '"/home"',
           "PescLanguage": '"native"'}
IDLE, RUNNING, HELD = JobStatus.IDLE, JobStatus.RUNNING, JobStatus.HELD


@pytest.fixture
def lab():
    return Lab()


def machine(lab, name, level, builds=True, **more):
    ad = {"Microarch": f'"x86_64-v{level}"'} | ({"HasContainerBuild": "true"} if builds else {})
    return lab.connect(name, ad=ad, **more)


def said(lab, link, kind):
    return [one for one in lab.said(link) if type(one) is kind]


def image_of(build):
    return Image(f"image of {build.recipe.arguments.get('PESC_MICROARCH', 'all')}", a_content(b"[]", tree=True))


def ready(lab, link, build):
    """The machine behind `link` has made what it was told to."""
    end = BuildEnded(build.key, build.attempt, product=PRODUCT) if build.making else BuildEnded(
        build.key, build.attempt, image_of(build))
    lab.do(on_build_ended, link, end)


def submit_program(lab, count=1, **template):
    return lab.submit(count=count, template=PROGRAM | template, files={"/home/src": SOURCES},
                      domain=DomainAsked("", RECIPE))


# --- variants of a domain ---


def test_every_machine_gets_the_best_variant_for_its_processor(lab):
    old, new = machine(lab, "old", 2, cpus=1), machine(lab, "new", 4, cpus=1)
    lab.submit(count=2, domain=DomainAsked("", VARIED))
    # What is for v3 can only be made by the newer one; for v2, by the other that is left.
    (for_old,), (for_new,) = said(lab, old, Build), said(lab, new, Build)
    assert (for_old.processor, for_new.processor) == ("x86-64-v2", "x86-64-v3")
    assert for_new.recipe.arguments == {"PESC_MICROARCH": "x86-64-v3"}
    ready(lab, old, for_old)
    ready(lab, new, for_new)
    assert [grant.program.image for grant in said(lab, old, Grant)] == ["image of x86-64-v2"]
    assert [grant.program.image for grant in said(lab, new, Grant)] == ["image of x86-64-v3"]


def test_jobs_run_where_their_variant_is_ready_while_another_is_built(lab):
    old, new = machine(lab, "old", 2, cpus=1), machine(lab, "new", 3, cpus=1)
    lab.submit(count=2, domain=DomainAsked("", VARIED))
    (build,) = said(lab, old, Build)
    ready(lab, old, build)
    assert len(said(lab, old, Grant)) == 1
    assert said(lab, new, Grant) == []
    assert sorted(str(job.run.machine) for job in lab.pool.clusters[1].jobs.values() if job.run) == ["old"]
    assert waits_for(lab.pool, lab.pool.clusters[1]) == ""


def test_a_machine_below_all_variants_is_not_used_and_the_user_is_told(lab):
    oldest = machine(lab, "oldest", 1)
    cluster = lab.submit(domain=DomainAsked("scipy", VARIED))
    assert (said(lab, oldest, Build), lab.status(cluster)) == ([], IDLE)
    assert waits_for(lab.pool, lab.pool.clusters[1]) == (
        "its domain is made for x86-64-v2 and x86-64-v3, and no machine has such a processor")


def test_a_new_kind_of_machine_has_its_variant_built(lab):
    machine(lab, "oldest", 1)
    cluster = lab.submit(domain=DomainAsked("", VARIED))
    link = machine(lab, "new", 3)
    (build,) = said(lab, link, Build)
    ready(lab, link, build)
    assert lab.status(cluster) == RUNNING


def test_without_named_kinds_there_is_a_variant_for_each_in_the_pool(lab):
    links = [machine(lab, f"m{level}", level) for level in (1, 4)]
    lab.submit(domain=DomainAsked("", Recipe("FROM base\nARG PESC_MICROARCH\n")))
    assert sorted(build.processor for link in links for build in said(lab, link, Build)) == ["x86-64", "x86-64-v4"]


def test_a_name_builds_all_its_variants_and_says_how_far_each_is(lab):
    link = machine(lab, "new", 4)
    machine(lab, "old", 2, builds=False)
    lab.do(named.add, "dana", False, DomainAdd("study", VARIED))
    (first,) = said(lab, link, Build)
    ready(lab, link, first)
    shown = named.one(lab.pool, "dana", "study")
    assert (shown.state, shown.variants) == ("building", {"x86-64-v2": "ready", "x86-64-v3": "building"}) or (
        shown.variants == {"x86-64-v3": "ready", "x86-64-v2": "building"})
    (second,) = said(lab, link, Build)
    ready(lab, link, second)
    assert named.one(lab.pool, "dana", "study").state == "ready"
    assert [one.name for one in named.shown(lab.pool, "dana")] == ["study"]
    lab.do(named.remove, "dana", False, "study", False)
    assert lab.pool.builds == {}


def test_an_image_that_was_brought_in_has_no_variants(lab):
    with pytest.raises(Problem, match="names variants"):
        lab.do(named.add, "dana", False, DomainAdd("study", VARIED, image=Image("f00d", a_content(b"[]", tree=True))))


def test_one_variant_can_be_asked_for(lab):
    link = machine(lab, "new", 4)
    machine(lab, "old", 2)
    asked = DomainAsked("", VARIED, arguments={"PESC_MICROARCH": "x86-64-v3"})
    assert lab.do(named.build, "dana", DomainBuild(asked)).variants == {"x86-64-v3": "building"}
    assert [build.processor for build in said(lab, link, Build)] == ["x86-64-v3"]


# --- programs ---


def test_a_program_is_made_in_its_image_and_runs_on_machines_like_the_one_that_made_it(lab):
    link = machine(lab, "lab-7", 3)
    cluster = submit_program(lab, count=2)
    (image,) = said(lab, link, Build)
    assert waits_for(lab.pool, lab.pool.clusters[1]).startswith("building domain ")
    ready(lab, link, image)
    (build,) = said(lab, link, Build)
    assert (build.making.command, build.making.sources, build.making.main) == ("make sim", SOURCES, "sim")
    assert (build.processor, build.image) == ("x86-64-v3", image_of(image))
    assert waits_for(lab.pool, lab.pool.clusters[1]) == "building program sim for x86-64-v3 on lab-7"
    ready(lab, link, build)
    programs = [grant.program for grant in said(lab, link, Grant)]
    assert [(program.content, program.main) for program in programs] == [(PRODUCT, "sim")] * 2
    assert lab.status(cluster) == RUNNING


def test_a_program_is_made_once_for_each_kind_of_processor(lab):
    first, alike, other = machine(lab, "a", 3, cpus=1), machine(lab, "b", 3, cpus=1), machine(lab, "c", 4, cpus=1)
    submit_program(lab, count=3)
    links = {"a": first, "b": alike, "c": other}
    made = []
    for _ in range(3):
        for name, link in links.items():
            for build in said(lab, link, Build):
                made.append((name, build.processor, build.making is not None))
                ready(lab, link, build)
    assert sorted(processor for _, processor, is_program in made if is_program) == ["x86-64-v3", "x86-64-v4"]
    assert ("c", "x86-64-v4", True) in made
    assert lab.pool.clusters[1].state.counts.running == 3
    # And a second submission of the same is made already.
    submit_program(lab)
    assert [said(lab, link, Build) for link in links.values()] == [[], [], []]


def test_other_sources_or_another_command_are_another_program(lab):
    link = machine(lab, "lab-7", 3)
    submit_program(lab)
    keys = set()
    for template in ({}, {"PescBuild": '"make -j2 sim"'}, {"PescMain": '"other"'}):
        submit_program(lab, **template)
    for cluster in lab.pool.clusters.values():
        keys.add(cluster.needs.parts("x86-64-v3")[1].key)
    assert len(keys) == 3
    assert len(said(lab, link, Build)) == 1


def test_jobs_are_held_with_the_command_that_failed(lab):
    link = machine(lab, "lab-7", 3)
    cluster = submit_program(lab)
    (image,) = said(lab, link, Build)
    ready(lab, link, image)
    (build,) = said(lab, link, Build)
    lab.do(on_build_ended, link, BuildEnded(build.key, build.attempt, step="make sim", message="exit status 2",
                                            lines=["sim.c:3: error"]))
    assert lab.status(cluster) == HELD
    reason = lab.pool.clusters[1].state.rest_reason
    assert reason.startswith("The program sim for x86-64-v3 could not be built at the step make sim: exit status 2.")
    assert f"pesc_domain log {build.key[:12]}" in reason
    shown = named.one(lab.pool, "dana", build.key[:12])
    assert (shown.source, shown.command, shown.processor) == ("program", "make sim", "x86-64-v3")
    assert (shown.name, shown.description) == ("", "sim for x86-64-v3")
    lab.act("release", str(cluster))
    assert [again.attempt for again in said(lab, link, Build)] == [2]


def test_an_end_without_what_was_asked_for_is_a_failure(lab):
    link = machine(lab, "lab-7", 3)
    cluster = submit_program(lab)
    (image,) = said(lab, link, Build)
    ready(lab, link, image)
    (build,) = said(lab, link, Build)
    lab.do(on_build_ended, link, BuildEnded(build.key, build.attempt, image_of(image)))
    assert lab.status(cluster) == HELD


@pytest.mark.parametrize("changes", [
    {"files": {}},
    {"domain": None},
    {"varying": {"build": "make $(Process)"}},
    {"varying": {"main": "x$(Process)"}},
    {"template": PROGRAM | {"PescMain": '"../sim"'}},
    {"template": {name: text for name, text in PROGRAM.items() if name != "PescMain"}},
])
def test_a_build_that_cannot_be_is_refused_when_it_is_submitted(lab, changes):
    whole = {"template": PROGRAM, "files": {"/home/src": SOURCES}, "domain": DomainAsked("", RECIPE)}
    with pytest.raises(Problem, match="build"):
        lab.submit(**(whole | changes))


@pytest.mark.parametrize("level", [1, 4])
def test_a_machine_that_comes_back_with_another_processor_gives_up_what_it_had_not_begun(lab, level):
    link = machine(lab, "lab-7", 3)
    cluster = lab.submit(domain=DomainAsked("", Recipe("FROM base\nARG PESC_MICROARCH=x86-64-v3,x86-64-v4\n")))
    (build,) = said(lab, link, Build)
    ready(lab, link, build)
    assert lab.status(cluster) == RUNNING
    lab.gone(link)
    machine(lab, "lab-7", level, builds=False)
    assert (lab.status(cluster), lab.pool.machines["lab-7"].claims) == (IDLE, {})
