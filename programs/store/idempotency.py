"""Idempotency keys of HTTP posts: a key and the hash of its body in, the answer that was kept out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from programs.store.rows import Rows, row_key, to_text
from programs.store.tables import idempotency

_HEADERS = msgspec.json.Decoder(dict[str, str])


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a key was used for. `status` 0 means that the first request has not been answered yet."""

    body_hash: str
    status: int
    headers: dict[str, str]
    response: bytes


class Idempotency(Rows):
    """`now` is in seconds since the epoch, from the caller's clock."""

    async def claim_key(
        self, key: str, body_hash: str, *, now: float, abandoned_after: float = 60.0
    ) -> KeptAnswer | None:
        """None when the key is now the caller's, who answers it with `keep_answer` or gives it up with `release_key`;
        else what it was used for. A claim without an answer for `abandoned_after` seconds belongs to a dead process
        and is taken over."""
        row = {"body_hash": body_hash, "created_ms": int(now * 1000), "status": 0, "headers": "{}", "response": b""}
        statement = self.insert(idempotency).values(key=row_key(key), **row)
        statement = statement.on_conflict_do_update(
            index_elements=["key"],
            set_=row,
            where=(idempotency.c.status == 0)
            & (idempotency.c.body_hash == body_hash)
            & (idempotency.c.created_ms < int((now - abandoned_after) * 1000)),
        ).returning(idempotency.c.key)
        async with self.writing() as connection:
            if (await connection.execute(statement)).first() is not None:
                return None
            found = await connection.execute(idempotency.select().where(idempotency.c.key == row_key(key)))
            kept = found.one()
        return KeptAnswer(
            body_hash=kept.body_hash,
            status=kept.status,
            headers=_HEADERS.decode(kept.headers),
            response=bytes(kept.response),
        )

    async def keep_answer(self, key: str, *, status: int, headers: Mapping[str, str], response: bytes) -> None:
        """Keeps the answer to a claimed key."""
        mine = idempotency.c.key == row_key(key)
        async with self.writing() as connection:
            await connection.execute(
                idempotency.update()
                .where(mine)
                .values(status=status, headers=to_text(dict(headers)), response=response)
            )

    async def release_key(self, key: str) -> None:
        """Gives up a claim that was not answered, so that the caller may try again."""
        unanswered = (idempotency.c.key == row_key(key)) & (idempotency.c.status == 0)
        async with self.writing() as connection:
            await connection.execute(idempotency.delete().where(unanswered))

    async def forget_keys(self, *, before: float) -> int:
        """Deletes keys older than `before`; how many."""
        old = idempotency.c.created_ms < int(before * 1000)
        async with self.writing() as connection:
            gone = await connection.execute(idempotency.delete().where(old).returning(idempotency.c.key))
            return len(gone.all())
