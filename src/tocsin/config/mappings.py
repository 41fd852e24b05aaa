"""The mappings tree as one value: read from a directory, or from a version stored in the database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tocsin.config import values
from tocsin.config.gathered import gather
from tocsin.config.marks import MAX_BYTES, Finding, Level, read
from tocsin.config.secret import EnvSecret, FileSecret, reference
from tocsin.domain.catalog import Catalog
from tocsin.domain.errors import BadMapping
from tocsin.domain.message import Hook
from tocsin.domain.policy import Destination, Policy

SKIPPED = ("schema", "secrets")
"""Directories of the tree that hold no mappings."""
MAX_FILES = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mappings:
    """What operators said, as values. `files` (path → text) is what a stored version keeps: mapping files and
    runbooks, never a secret; `digest` is the same for the same files."""

    catalog: Catalog
    policy: Policy
    hooks: Mapping[str, Hook]
    destinations: Mapping[str, Destination]
    files: Mapping[str, str] = field(repr=False)
    digest: str
    missing_secrets: tuple[Finding, ...] = ()
    """Warnings, only when they were loaded with `secrets_optional`."""


def load(directory: Path, *, env: Mapping[str, str], secrets_optional: bool = False) -> Mappings:
    """The mappings of a directory: every *.yaml file below it. `env` answers {env: X}.

    Raises BadMapping with all findings, each `file:line: field: message; remedy`.
    """
    return loads(texts(directory), env=env, root=directory, secrets_optional=secrets_optional)


def loads(files: Mapping[str, str], *, env: Mapping[str, str], root: Path, secrets_optional: bool = False) -> Mappings:
    """The mappings that these files (path → text) say. Relative {file: p} start at `root`. A secret that is not
    there is an error, or with `secrets_optional` (to check a tree away from where it runs) a warning.

    Raises BadMapping with all findings.
    """
    mappings, errors = examined(files, env=env, root=root, secrets_optional=secrets_optional)
    if errors:
        raise BadMapping([str(finding) for finding in errors])
    return mappings


def examined(
    files: Mapping[str, str], *, env: Mapping[str, str], root: Path, secrets_optional: bool = False
) -> tuple[Mappings, list[Finding]]:
    """What these files say as far as they can be read, and every error in them."""
    found = gather({path: text for path, text in files.items() if path.endswith(".yaml")})
    secrets = values.Secrets(env=env, root=root)
    mappings = Mappings(
        catalog=values.catalog(found),
        policy=values.policy(found),
        hooks=values.hooks(found, secrets),
        destinations=values.destinations(found, secrets),
        files=dict(sorted(files.items())),
        digest=_digest(files),
        missing_secrets=tuple(replace(finding, level=Level.WARNING) for finding in secrets.missing),
    )
    missing = [] if secrets_optional else secrets.missing
    errors = [*found.findings, *values.ties(mappings.catalog), *missing]
    return mappings, sorted(errors, key=lambda finding: finding.place)


def env_names(files: Mapping[str, str]) -> tuple[str, ...]:
    """The environment variables that {env: X} asks for in these files, sorted: what a deployment must set."""
    return tuple(sorted({ref.env for ref in _all_references(files) if isinstance(ref, EnvSecret)}))


def secret_files(files: Mapping[str, str], *, root: Path) -> tuple[Path, ...]:
    """The files that {file: p} asks for, sorted: when one changes, a secret was replaced."""
    return tuple(sorted({root / ref.file for ref in _all_references(files) if isinstance(ref, FileSecret)}))


def _all_references(files: Mapping[str, str]) -> Iterator[EnvSecret | FileSecret]:
    for path, text in files.items():
        if path.endswith(".yaml"):
            yield from _references(read(text, path).data)


def _references(value: object) -> Iterator[EnvSecret | FileSecret]:
    ref = reference(value)
    if ref is not None:
        yield ref
    elif isinstance(value, dict):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def texts(directory: Path) -> dict[str, str]:
    """Path → text of every mapping file, runbook and sample below a directory. Raises BadMapping."""
    if not directory.is_dir():
        raise BadMapping([f"{directory}: is not a directory; run `tocsin init {directory}` to make a first one"])
    return dict(_texts(directory))


def _texts(directory: Path) -> Iterator[tuple[str, str]]:
    """Mapping files, runbooks (*.md) and samples/*.json; hidden names, such as a ConfigMap's ..data, are another view
    of the same."""
    paths = sorted(p for suffix in ("*.yaml", "*.yml", "*.md", "samples/*.json") for p in directory.rglob(suffix))
    for path in paths[: MAX_FILES + 1]:
        name = path.relative_to(directory)
        if name.parts[0] in SKIPPED or any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        if path.suffix == ".yml":
            raise BadMapping([f"{name.as_posix()}:1: is not read; rename it to {name.stem}.yaml"])
        yield name.as_posix(), _text(path, name.as_posix())
    if len(paths) > MAX_FILES:
        raise BadMapping([f"{directory}: holds more than {MAX_FILES:,} files; is it the mappings directory?"])


def _text(path: Path, name: str) -> str:
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            raise BadMapping([f"{name}:1: the file is larger than {MAX_BYTES:,} bytes; split it into several files"])
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise BadMapping([f"{name}:1: cannot be read ({type(error).__name__}); check its permissions"]) from None
    except UnicodeDecodeError:
        raise BadMapping([f"{name}:1: is not UTF-8; save it as UTF-8 text"]) from None


def _digest(files: Mapping[str, str]) -> str:
    """SHA-256 over paths and texts, each with its length, so that no two trees run together."""
    total = hashlib.sha256()
    for path, text in sorted(files.items()):
        for part in (path.encode(), text.encode()):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()
