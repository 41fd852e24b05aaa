"""How did a build on Jenkins go? Its words for results, which Jenkins itself and tools around it share."""

from __future__ import annotations

from tocsin.domain.change import ChangeOutcome

RESULTS = {
    "SUCCESS": ChangeOutcome.SUCCESS,
    "FAILURE": ChangeOutcome.FAILURE,
    "FAILED": ChangeOutcome.FAILURE,
    "UNSTABLE": ChangeOutcome.FAILURE,
    "ABORTED": ChangeOutcome.CANCELED,
    "NOT_BUILT": ChangeOutcome.CANCELED,
    "BUILDING": ChangeOutcome.RUNNING,
    "STARTED": ChangeOutcome.RUNNING,
}
"""hudson.model.Result and its kin → outcome. UNSTABLE is a build whose tests failed: what it made is not sound."""


def outcome_of(result: str, *, building: bool = False) -> ChangeOutcome:
    """The outcome of a result in any case; running while it builds; unknown for an absent or unheard-of one."""
    return ChangeOutcome.RUNNING if building else RESULTS.get(result.upper(), ChangeOutcome.UNKNOWN)


def short_name(job: str) -> str:
    """`shop/checkout/main` → `shop/checkout`: a multibranch job without its branch, URL escapes undone by nobody."""
    folder, slash, branch = job.rpartition("/")
    return folder if slash and branch in ("main", "master", "trunk", "develop") else job
