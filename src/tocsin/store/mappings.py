"""Versions of the mappings: each valid load is kept, one row says which is active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.store.database import Database, dumped, rows, run


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMappings:
    version: int
    digest: str
    files: Mapping[str, str]


def activate(database: Database, *, digest: str, files: Mapping[str, str], actor: str) -> int:
    """Keep these files as a version (the same text is the same version) and make it the active one."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "INSERT INTO mapping_versions (digest, files, created_by) VALUES (:digest, CAST(:files AS jsonb), :actor)"
            " ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest RETURNING version",
            digest=digest,
            files=dumped(dict(files)),
            actor=actor,
        )
        version = int(found[0].version)
        run(
            connection,
            "INSERT INTO active_mapping (version) VALUES (:version)"
            " ON CONFLICT (only_row) DO UPDATE SET version = excluded.version, activated_at = now()"
            " WHERE active_mapping.version <> excluded.version",
            version=version,
        )
    return version


def active_version(database: Database) -> int:
    """Number of the active version; 0 when none was ever applied."""
    with database.transaction() as connection:
        found = rows(connection, "SELECT version FROM active_mapping")
    return int(found[0].version) if found else 0


def stored(database: Database, version: int) -> StoredMappings:
    """One version's files."""
    with database.transaction() as connection:
        row = rows(connection, "SELECT version, digest, files FROM mapping_versions WHERE version = :v", v=version)[0]
    return StoredMappings(version=row.version, digest=row.digest, files=row.files)


def active_file(database: Database, name: str) -> str | None:
    """The text of one file of the active version; None when it has no such file."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT files->>:name AS text FROM mapping_versions JOIN active_mapping USING (version)",
            name=name,
        )
    return found[0].text if found else None


def open_record_destinations(database: Database) -> dict[str, int]:
    """Destinations that still have records to keep right, with how many."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT destination, count(*) AS n FROM records WHERE state IN ('pending', 'settled')"
            " AND wanted->>'status' = 'open' GROUP BY destination",
        )
    return {row.destination: int(row.n) for row in found}
