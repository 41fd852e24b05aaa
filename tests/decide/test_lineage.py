"""What runs read and write becomes topology: what the mappings say stands, and nothing that runs tell can break it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import NOON, at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.decide.enrich import enrich
from tocsin.decide.group import Groups
from tocsin.decide.lineage import LONGEST, MOST_OF_A_RUN, Edge, hour_of, taught, with_learned
from tocsin.decide.route import route
from tocsin.decide.seen import seen_of
from tocsin.decide.topology import Topology
from tocsin.domain.alert import Symptom
from tocsin.domain.catalog import Catalog, Entry, Owns
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.policy import Policy
from tocsin.domain.subject import Subject


def run(
    job: str, *, reads: Iterable[str] = (), writes: Iterable[str] = (), minute: float = 0, **given: object
) -> Change:
    made = change(f"{job}@{minute}", f"job:{job}", minute, ChangeKind.PIPELINERUN_FINISHED, **given)
    read, wrote = (tuple(Subject.of("dataset", name) for name in names) for names in (reads, writes))
    return replace(made, reads=read, touches=wrote)


def edges(*runs: Change) -> list[Edge]:
    return [edge for one in runs for edge in taught(one)]


def words(found: Iterable[Edge]) -> list[str]:
    return [f"{above} > {below}" for above, below in found]


def test_a_run_teaches_what_its_job_rests_on_and_what_rests_on_it() -> None:
    assert words(taught(run("load", reads=["raw"], writes=["orders", "items"]))) == [
        "dataset:raw > job:load",
        "job:load > dataset:orders",
        "job:load > dataset:items",
    ]
    assert words(taught(run("load", reads=["raw"], outcome=ChangeOutcome.FAILURE))) == ["dataset:raw > job:load"]


def test_what_a_job_reads_and_writes_is_written_by_it() -> None:
    both = run("merge", reads=["orders", "new"], writes=["orders"])
    assert words(taught(both)) == ["dataset:new > job:merge", "job:merge > dataset:orders"]
    apart = edges(run("merge", reads=["orders"]), run("merge", writes=["orders"]))
    assert with_learned(Catalog(), apart).learned == {Subject("dataset:orders"): (Subject("job:merge"),)}


def test_other_changes_teach_no_lineage_whatever_they_touch() -> None:
    rename = replace(run("a", writes=["b"]), kind=ChangeKind.DATASET_SCHEMA_CHANGED)
    deploy = change("c", "service:checkout", 0, touches=["model:churn"])
    assert taught(rename) == taught(deploy) == []


def test_one_run_teaches_so_many_edges_at_most_and_none_too_long_for_an_index() -> None:
    wide = run("wide", reads=map(str, range(900)), writes=map(str, range(1000, 1900)))
    assert len(taught(wide)) == 2 * MOST_OF_A_RUN
    assert taught(run("load", reads=["é" * LONGEST], writes=["x" * 2 * LONGEST])) == []


def test_an_edge_counts_from_the_next_full_hour() -> None:
    assert hour_of(datetime(2026, 3, 1, 14, 59, 59, 999999, UTC)) == datetime(2026, 3, 1, 14, tzinfo=UTC)
    assert hour_of(datetime(2026, 3, 1, 15, tzinfo=UTC)) == datetime(2026, 3, 1, 15, tzinfo=UTC)


def test_what_the_mappings_say_stands_and_learned_edges_are_added_to_it() -> None:
    written = catalog({"dataset:orders": ["job:load"], "job:load": []})
    made = with_learned(written, edges(run("load", writes=["orders"]), run("fix", writes=["orders"])))
    orders = Subject("dataset:orders")
    assert made.needs(orders) == (Subject("job:load"), Subject("job:fix"))
    assert made.learned == {orders: (Subject("job:fix"),)}, "what is written is not learned too"
    assert made.entries == written.entries
    assert made.learned_on(made.path(Subject("job:fix"), orders)) == [(Subject("job:fix"), orders)]
    assert made.learned_on(made.path(Subject("job:load"), orders)) == []


def test_a_written_dependency_is_never_turned_round() -> None:
    written = catalog({"job:load": ["dataset:orders"], "dataset:orders": []})
    assert with_learned(written, edges(run("load", writes=["orders"]))) is written


def test_without_anything_new_the_catalogue_is_the_very_same() -> None:
    written = catalog({"dataset:orders": ["job:load"], "job:load": ["dataset:raw"]})
    assert with_learned(written, ()) is written
    assert with_learned(written, edges(run("load", reads=["raw"], writes=["orders"]))) is written


def test_learned_subjects_are_known_by_the_catalogue_s_names() -> None:
    entry = Entry(subject=Subject("dataset:orders"), aliases=("dataset:warehouse.orders",))
    made = with_learned(Catalog(entries={entry.subject: entry}), edges(run("load", writes=["warehouse.orders"])))
    assert made.learned == {Subject("dataset:orders"): (Subject("job:load"),)}


def test_what_was_only_learned_gives_nobody_a_name_an_entry_or_an_owner() -> None:
    written = catalog({"service:orders": []})
    made = with_learned(written, edges(run("orders", writes=["mart"])))
    assert made.resolve(Subject("unknown:orders")) == Subject("service:orders")
    assert made.resolve(Subject("unknown:mart")) == Subject("unknown:mart")
    assert made.entry(Subject("dataset:mart")) is None
    assert made.owner(Subject("dataset:mart")) is None
    assert made.knows(Subject("dataset:mart"))
    assert not written.knows(Subject("dataset:mart"))


LINE = edges(
    run("load", reads=["raw"], writes=["staging"]),
    run("build", reads=["staging"], writes=["mart"]),
    run("score", reads=["mart"]),
)


def test_a_stale_dataset_names_the_failed_upstream_job() -> None:
    stale = incident(state("dataset:mart", started=60, symptom=Symptom.FRESHNESS))
    failed = run("load", minute=20, outcome=ChangeOutcome.FAILURE)
    other = run("elsewhere", minute=50)
    alone = attribute(stale, [failed, other], Catalog(), now=at(62))
    found = attribute(stale, [failed, other], with_learned(Catalog(), LINE), now=at(62))
    assert found.first is not None
    assert found.first.change.id == failed.id
    assert found.first.path == tuple(map(Subject, ("job:load", "dataset:staging", "job:build", "dataset:mart")))
    assert "that dataset:staging rests on job:load was learned from runs" in found.first.because
    known_before = next(s.probability for s in alone.suspects if s.change.id == failed.id)
    assert found.first.probability > known_before + 0.2
    assert found.digest != alone.digest, "what was learned is part of the inputs"


def test_alerts_along_learned_lineage_are_one_incident_and_others_are_not() -> None:
    def place(known: Catalog, subject: str) -> bool:
        groups = Groups(known)
        groups.add(incident(state()).id, seen_of(state("job:load")))
        return groups.place(seen_of(state(subject, started=5, name="Stale"))).incident_id is not None

    assert not place(Catalog(), "dataset:mart")
    assert place(with_learned(Catalog(), LINE), "dataset:mart")
    assert not place(with_learned(Catalog(), LINE), "dataset:another")


def test_lineage_of_others_changes_nothing_for_a_service() -> None:
    """Thousands of learned tables are no places where a service's fault could be: neither "it could have begun
    anywhere" nor the belief about an incident's root is thinned by them."""
    written = catalog({"service:web": ["service:checkout"], "service:checkout": ["service:payments"]})
    many = edges(*(run(f"job-{n}", reads=[f"in-{n}"], writes=[f"out-{n}"]) for n in range(300)))
    large = with_learned(written, many)
    hit = incident(state("service:web", started=30), state("service:checkout", started=31))
    deployed = change("c", "service:checkout", 20)
    one, other = (attribute(hit, [deployed], known, now=at(35)) for known in (written, large))
    assert one.first is not None
    assert other.first is not None
    assert abs(one.first.probability - other.first.probability) < 1e-9

    def ratio(known: Catalog) -> float:
        groups = Groups(known)
        groups.add(hit.id, seen_of(state("service:payments")))
        return groups.place(seen_of(state("service:web", started=4, name="Slow"))).llr

    assert abs(ratio(written) - ratio(large)) < 1e-9


def test_the_silence_of_what_was_only_learned_says_nothing() -> None:
    topology = Topology(with_learned(catalog({"dataset:mart": []}), LINE))
    watched = [s for s, monitored in zip(topology.subjects, topology.monitored, strict=True) if monitored]
    assert watched == ["dataset:mart"]
    assert topology.below(Subject("job:load")) == {Subject("dataset:mart"): 3}


def test_impact_and_owner_pass_through_what_only_runs_told() -> None:
    """dataset:raw → job:load → dataset:staging → job:build → dataset:mart, of which the mappings know the ends."""
    mart = Entry(subject=Subject("dataset:mart"), kpi="orders per minute")
    written = Catalog(entries={mart.subject: mart}, owns=(Owns(pattern="dataset:mart", team="data"),), catch_all="all")
    made = with_learned(written, LINE)
    broken = incident(state("dataset:raw"))
    found = enrich(broken, made, Policy(), changes=(), similar=(), now=NOON)
    assert [(a.subject, a.hops) for a in found.blast][-1] == (mart.subject, 4)
    assert found.impact == "orders per minute"
    ownership = route(replace(broken, enrichment=found), made, Policy(), now=NOON).ownership
    assert (ownership.team, ownership.why) == (
        "data",
        "data owns dataset:mart, and dataset:mart rests on dataset:raw, as runs told",
    )
    aside = incident(state("dataset:elsewhere"))
    assert enrich(aside, made, Policy(), changes=(), similar=(), now=NOON).impact == "Impact not mapped"


NAMES = st.sampled_from([f"d{n}" for n in range(6)])
RUNS = st.builds(
    run, st.sampled_from(["a", "b", "c"]), reads=st.lists(NAMES, max_size=4), writes=st.lists(NAMES, max_size=4)
)
WRITTEN = catalog({"dataset:d0": ["job:a"], "model:m": ["dataset:d1", "dataset:d0"], "job:b": ["dataset:d2"]})


@given(st.lists(RUNS, max_size=12))
def test_no_runs_whatever_break_the_topology(runs: list[Change]) -> None:
    """Circles of any length: every question ends, agrees with the others and does not depend on the order."""
    told = edges(*runs)
    made = with_learned(WRITTEN, told)
    assert with_learned(WRITTEN, reversed(told)).learned == made.learned
    for subject, entry in WRITTEN.entries.items():
        assert made.needs(subject)[: len(entry.depends_on)] == entry.depends_on
    for below, needs in made.learned.items():
        assert below not in needs, "nothing rests on itself"
        assert not set(needs) & set(made.needs(below)[: -len(needs)]), "nothing is said twice"
        assert not any(below in made.needs(above) for above in needs if above.kind == "job"), "no turning in place"
    topology = Topology(made)
    for subject in topology.subjects:
        column = topology.hops_to(subject)
        for above, hops in made.upstream(subject).items():
            assert column[topology.index[above]] == hops == len(made.path(above, subject)) - 1
            assert made.downstream(above)[subject] == hops
    alerts = [state(s, started=n) for n, s in enumerate(("dataset:d3", "model:m", "job:c"))]
    found = attribute(incident(*alerts), runs, made, now=at(10))
    assert abs(sum(s.probability for s in found.suspects) + found.other + found.no_change - 1) < 1e-9
    groups = Groups(made)
    for member in alerts:
        groups.place(seen_of(member))
        groups.add(incident(member).id, seen_of(member))
