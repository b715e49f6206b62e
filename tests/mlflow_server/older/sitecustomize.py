"""Lets MLflow 2 start beside a SQLAlchemy that has dropped a name which it imports and, on SQLite,
does not use."""

import sqlalchemy.pool

if not hasattr(sqlalchemy.pool, "FallbackAsyncAdaptedQueuePool"):
    vars(sqlalchemy.pool)["FallbackAsyncAdaptedQueuePool"] = sqlalchemy.pool.AsyncAdaptedQueuePool
