"""One stack for all these tests, whole again before each; what its parts printed is shown when one fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.e2e.stack import Stack, running_stack

_RUNNING = pytest.StashKey[Stack]()


@pytest.fixture(scope="session")
def one_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Started once; its database remembers what earlier tests did, so each test has services of its own."""
    with running_stack() as stack:
        request.config.stash[_RUNNING] = stack
        yield stack


@pytest.fixture
def stack(one_stack: Stack) -> Stack:
    """The stack with every part running and no fault planned."""
    one_stack.heal()
    return one_stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    stack = item.config.stash.get(_RUNNING, None)
    if report.failed and stack is not None:
        report.sections.append(("what the parts printed last", stack.story()))
    return report
