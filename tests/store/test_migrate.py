"""The schema can be built, built again, and by several at once."""

from concurrent.futures import ThreadPoolExecutor

from tocsin.store import Database, migrate


def test_migrating_twice_and_by_four_at_once_leaves_one_schema(database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [database] * 4))
    store = Database(database)
    assert store.installation_id() == store.installation_id()
    store.close()
