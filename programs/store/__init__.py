"""The store: apps, programs, what runs and what happened, in SQLite or PostgreSQL; msgspec structs in and out."""

from programs.store.idempotency import KeptAnswer
from programs.store.ledger import Spending
from programs.store.programs import StoredProgram
from programs.store.rows import Page
from programs.store.store import Store
from programs.store.tallies import Tally

__all__ = ["KeptAnswer", "Page", "Spending", "Store", "StoredProgram", "Tally"]
