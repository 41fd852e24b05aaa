"""What to do first, and because of what: a table of rules over symptom, cause and the model's metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tocsin.decide.facts import DATA_FAULTS, INPUTS_MOVED, WORSE, Facts, facts_of
from tocsin.decide.usual_words import as_usual_words, opened_as_usual
from tocsin.domain.alert import Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.drift import Drift, Finding
from tocsin.domain.incident import Advice, AdviceKind, Category, Incident
from tocsin.domain.policy import Outage
from tocsin.domain.subject import Subject

MAX_ADVICE = 3

SMALL_SAMPLE = 500
"""Below this many rows a stability index over .1 fires without any drift in 7 to 55 % of checks
(correlation.md §6)."""
LASTING = 3
"""Failed checks in a row after which a shift is no passing one: more than the usual two of three ask for."""

_MODEL_CHANGES = frozenset({ChangeKind.MODEL_PROMOTED, ChangeKind.MODEL_DEPLOYED, ChangeKind.MODEL_REGISTERED})


def advise(
    incident: Incident,
    catalog: Catalog,
    *,
    head: Subject,
    category: Category,
    outages: Sequence[Outage] = (),
    drift: Drift | None = None,
) -> tuple[Advice, ...]:
    """At most three, the first is what to do first; never none. Rules in the order of `_RULES`, one of each kind;
    the text names things as the catalogue does and carries no clock times."""
    facts = facts_of(incident, catalog, head, category, outages, drift=drift)
    found: dict[AdviceKind, Advice] = {}
    for rule in _RULES:
        advice = rule(facts)
        if advice is not None:
            found.setdefault(advice.kind, advice)
    if not found or (facts.cause is not None and not facts.likely):
        found.setdefault(AdviceKind.INVESTIGATE, _investigate(facts))
    return tuple(found.values())[:MAX_ADVICE]


def _wait_for_others(facts: Facts) -> Advice | None:
    """Outside fault or known outage: nothing of ours to roll back."""
    if facts.category is Category.EXTERNAL:
        name = facts.cause.subject.name if facts.cause and facts.cause.subject.kind == "provider" else facts.head.name
        text = f"Wait for {name}: watch its status page, use the fallback if there is one. Do not roll back."
        return Advice(kind=AdviceKind.WAIT, text=text, because="the fault lies with a provider outside")
    if facts.outages:
        name = facts.outages[0].subject.name
        text = f"Wait for {name} to come back, then check again."
        return Advice(kind=AdviceKind.WAIT, text=text, because=f"{name} has a known outage and this rests on it")
    return None


def _fix_data(facts: Facts) -> Advice | None:
    """Inputs are wrong or shifted because of a run: mend them, the model is right about what it learned."""
    if not facts.data_fault or facts.category is Category.EXTERNAL:
        return None
    touches_models = bool(facts.models) or facts.head.kind == "feature" or bool(facts.symptoms & INPUTS_MOVED)
    ending = " Do not retrain." if touches_models else ""
    if facts.cause is None:
        repair = "get it running again" if facts.symptoms & DATA_FAULTS == {Symptom.FRESHNESS} else "repair its data"
        text = f"Fix data: check the last run of {facts.job.name}, {repair}.{ending}"
        return Advice(
            kind=AdviceKind.FIX_DATA, text=text, because="the data are at fault and no known change explains it"
        )
    if not facts.likely:
        text = f"Fix data: check {facts.cause_words} first, re-run it once mended.{ending}"
    elif facts.cause.kind is ChangeKind.FEATURE_OUTAGE:
        text = f"Fix data: bring {facts.cause.subject.name} back, then fill the gap.{ending}"
    elif _is_schema(facts):
        text = f"Fix data: restore the column that {facts.cause_words} changed, then re-run.{ending}"
    else:
        text = f"Fix data: repair what {facts.cause_words} wrote, then re-run.{ending}"
    return Advice(kind=AdviceKind.FIX_DATA, text=text, because=f"the inputs changed with {facts.cause_words}")


def _is_schema(facts: Facts) -> bool:
    assert facts.cause is not None
    summary = facts.cause.summary.lower()
    return facts.cause.kind is ChangeKind.DATASET_SCHEMA_CHANGED or any(
        word in summary for word in ("renamed", "dropped", "removed column", "column")
    )


def _roll_back(facts: Facts) -> Advice | None:
    """Only a likely cause is rolled back (correlation.md §2.1), and a model only to a version known to be safe."""
    cause = facts.cause
    if cause is None or not facts.likely or facts.data_cause:
        return None
    because = f"{facts.cause_words} is the likely cause"
    text = _way_back(facts, cause)
    return Advice(kind=AdviceKind.ROLLBACK, text=text, because=because) if text else None


def _way_back(facts: Facts, cause: Change) -> str:
    name = cause.subject.name
    if cause.kind in _MODEL_CHANGES:
        safe = facts.card.previous_version
        if not safe or safe == cause.version:
            return ""
        how = f" ({facts.card.rollback})" if facts.card.rollback else ""
        return f"Roll back {name} to {safe}, the last version known to be safe{how}."
    if cause.kind is ChangeKind.SERVICE_DEPLOYED:
        back_to = f" to {cause.previous_version}" if cause.previous_version else " to the version before"
        return f"Roll back {name}{f' from {cause.version}' if cause.version else ''}{back_to}."
    if cause.kind is ChangeKind.FEATURE_FLAG_CHANGED:
        return f"Switch flag {name} back."
    if cause.kind is ChangeKind.ENVIRONMENT_MODIFIED:
        return f"Revert the configuration change of {name}."
    return ""


def _recalibrate(facts: Facts) -> Advice | None:
    """Probabilities are off while the ranking holds: the mapping of scores is at fault, not the learning."""
    of_probabilities = bool(facts.symptoms & WORSE)
    if facts.worse or not (of_probabilities or Symptom.CALIBRATION in facts.symptoms):
        return None
    if facts.data_fault or facts.outages or (facts.cause is not None and facts.cause.kind not in _MODEL_CHANGES):
        return None
    return Advice(
        kind=AdviceKind.RECALIBRATE,
        text=f"Recalibrate {facts.model_words} on recent labels; a full retraining is not needed.",
        because="only figures of its probabilities are off, none of its ranking"
        if of_probabilities
        else "calibration is off while no accuracy alert fires",
    )


def _new_base_rate(facts: Facts) -> Advice | None:
    """Outcomes became more or less frequent, inputs and ranking say nothing: the odds are off by one factor."""
    tested = facts.drifted(Finding.SHIFTED, frozenset({Symptom.LABEL_DRIFT}))
    if not tested or not facts.only_drift or Symptom.FEATURE_DRIFT in facts.symptoms:
        return None
    return Advice(
        kind=AdviceKind.RECALIBRATE,
        text=f"Recalibrate {facts.model_words} for the new share of outcomes.",
        because="outcomes shifted by more than chance, while neither inputs nor accuracy alert",
    )


def _retrain(facts: Facts) -> Advice | None:
    """The relation itself moved, and neither data nor a change is to blame."""
    if not facts.worse or facts.data_fault or not facts.unexplained:
        return None
    snapshot = f"; the last snapshot is {facts.card.training_snapshot}" if facts.card.training_snapshot else ""
    inputs = " while its inputs shifted" if facts.drifted(Finding.SHIFTED) else ""
    inputs = inputs or (" while its inputs hold, tested" if facts.without_effect else "")
    return Advice(
        kind=AdviceKind.RETRAIN,
        text=f"Retrain {facts.model_words} on recent labelled data{snapshot}.",
        because=f"accuracy dropped{inputs} and neither a data fault nor a known change explains it",
    )


def _one_producer(facts: Facts) -> Advice | None:
    """The world would not stop at one job's output: what makes these features is the first place to look."""
    if facts.producer is None or not facts.only_drift:
        return None
    where = f"the last run of {facts.producer.name}" if facts.producer.kind == "job" else facts.producer.name
    return Advice(
        kind=AdviceKind.FIX_DATA,
        text=f"Fix data: check {where} first. Do not retrain.",
        because=f"all shifted features come from {facts.producer.name}, and those from elsewhere hold",
    )


def _no_effect(facts: Facts) -> Advice | None:
    """The threshold fires on what does not matter: too little, as always, or chance (correlation.md §6)."""
    if not facts.only_drift or facts.drift is None or not facts.without_effect:
        return None
    if any(shift.as_usual for shift in facts.drift.shifts):
        text = f"Compare {facts.head.name} with the same hour of other days, or raise its threshold."
        return Advice(kind=AdviceKind.ADJUST_THRESHOLD, text=text, because="it moves as much at this hour anyhow")
    if facts.drifted(Finding.SMALL):
        text = f"Raise the threshold of {facts.head.name}: it fires on shifts that are too small to matter."
        return Advice(kind=AdviceKind.ADJUST_THRESHOLD, text=text, because="the shift was tested: real, but too small")
    rows = f": {facts.smallest_sample} rows were compared" if facts.smallest_sample is not None else ""
    return Advice(
        kind=AdviceKind.ADJUST_THRESHOLD,
        text=f"Check on more rows, then raise the threshold or the window{rows}.",
        because="the shift was tested: chance alone moves so few rows as much",
    )


def _as_usual(facts: Facts) -> Advice | None:
    """Every value that fires lies where it lies most of the time: the limit is at fault, whatever it limits."""
    if not facts.unexplained or not (said := as_usual_words(facts.members)):
        return None
    name = facts.members[0].alert.name
    what = name if len({m.alert.name for m in facts.members}) == 1 else "these alerts"
    return Advice(kind=AdviceKind.ADJUST_THRESHOLD, text=f"Move the threshold of {what}.", because=said)


def _opens_often(facts: Facts) -> Advice | None:
    """All that fires opens all the time: no news today, and nobody will believe it tomorrow."""
    if not facts.unexplained or not (said := opened_as_usual(facts.members)):
        return None
    text = "Let it last longer before it fires, or raise its threshold; `tocsin scorecard` shows what came of it."
    return Advice(kind=AdviceKind.ADJUST_THRESHOLD, text=text, because=said)


def _small_sample(facts: Facts) -> Advice | None:
    few = facts.smallest_sample
    if few is None or few >= SMALL_SAMPLE or not facts.only_drift or facts.drifted(Finding.SHIFTED):
        return None
    return Advice(
        kind=AdviceKind.ADJUST_THRESHOLD,
        text=f"Check on more rows, then raise the threshold or the window: {few} rows were compared.",
        because=f"with fewer than {SMALL_SAMPLE} rows such a check often fires when nothing changed",
    )


def _outputs_alone(facts: Facts) -> Advice | None:
    """Predictions moved and no input did: what the model is served is not what the monitors of its inputs see."""
    alone = facts.symptoms == {Symptom.PREDICTION_DRIFT} and facts.drifted(Finding.SHIFTED)
    if not alone or not facts.unexplained:
        return None
    text = f"Compare what {facts.model_words} is served with what its inputs' monitors see, and its version."
    because = "its predictions shifted by more than chance, while no input alerts"
    return Advice(kind=AdviceKind.INVESTIGATE, text=text, because=because)


def _lasting(facts: Facts) -> Advice | None:
    """The world moved and stays so: wait no longer, look whether the relation holds."""
    if not facts.only_drift or facts.windows < LASTING:
        return None
    text = f"Check accuracy on recent labels; when it holds, renew the reference window of {facts.head.name}."
    because = f"shifted by more than chance {facts.windows} times in a row, and no accuracy alert fires"
    return Advice(kind=AdviceKind.INVESTIGATE, text=text, because=because)


def _watch_drift(facts: Facts) -> Advice | None:
    """Inputs moved, nobody changed anything, nothing says that results are worse: the relation seems intact."""
    if not facts.only_drift:
        return None
    how = "values shifted by more than chance" if facts.drifted(Finding.SHIFTED) else "values shifted"
    text = f"Wait for the next checks of {facts.head.name}; act when it lasts or accuracy drops."
    because = f"{how} without a known change, no accuracy alert fires"
    return Advice(kind=AdviceKind.WAIT, text=text, because=because)


def _adjust(facts: Facts) -> Advice | None:
    if not facts.only_drift:
        return None
    text = f"If the shift is real and harmless, renew the reference window of {facts.head.name}."
    return Advice(kind=AdviceKind.ADJUST_THRESHOLD, text=text, because="no accuracy alert came with it")


def _investigate(facts: Facts) -> Advice:
    """When no rule applies, and beside them while the cause is not sure: nobody is left without a first step."""
    if facts.cause is not None and not facts.likely:
        text = f"Look at {facts.cause_words} first; roll back only if it fits."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="it is the best explanation, but not a sure one")
    if facts.cause is not None and facts.cause.kind in _MODEL_CHANGES and not facts.card.previous_version:
        text = f"Compare {facts.model_words} with the version before; the catalogue names none that is safe."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because=f"{facts.cause_words} is the likely cause")
    if facts.cause is not None:
        text = f"Look at {facts.cause_words} and what it changed."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="it is the likely cause")
    if Symptom.FAIRNESS in facts.symptoms:
        text = f"Compare the groups of {facts.model_words} before and after; tell its risk owner."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="some group is treated worse than the others")
    if Symptom.SATURATION in facts.symptoms:
        text = f"Look at the load of {facts.head.name}; add capacity if it grows."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="it runs full and no known change explains it")
    text = f"Start at {facts.head.name}: nothing above it alerts."
    return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="no known change explains it")


_RULES: tuple[Callable[[Facts], Advice | None], ...] = (
    _wait_for_others,
    _as_usual,
    _fix_data,
    _roll_back,
    _recalibrate,
    _new_base_rate,
    _retrain,
    _one_producer,
    _no_effect,
    _opens_often,
    _small_sample,
    _outputs_alone,
    _lasting,
    _watch_drift,
    _adjust,
)
"""First come, first done; a rule that does not apply is silent. docs/advice.md tells them as a table."""
