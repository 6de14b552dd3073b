"""New SQLite ledgers without Alembic: 2 ms instead of 40, some thousand times in the tests."""

from hybrid_search.ledger import schema

_STATEMENTS = []  # those that make the schema of the first new ledger of this process


def upgrade(engine, url, revision, display_url, notice):
    """Do the work of `schema.upgrade`; repeat the statements of the first new ledger for the others."""
    if engine.dialect.name != "sqlite" or revision is not None:
        return schema.upgrade(engine, url, revision, display_url, notice)
    with engine.begin() as connection:
        if _STATEMENTS and not connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first():
            for statement in _STATEMENTS:
                connection.exec_driver_sql(statement)
            return None
    schema.upgrade(engine, url, revision, display_url, notice)
    if not _STATEMENTS:
        with engine.connect() as connection:
            made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
            _STATEMENTS.extend(statement for (statement,) in made if "sqlite_sequence" not in statement)
            _STATEMENTS.append(f"INSERT INTO alembic_version VALUES ('{schema.HEAD}')")
    return None
