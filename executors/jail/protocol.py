"""The frames between a cell and its worker: five bytes of header, then the payload.

    header   u32 length of the payload, u8 kind (little-endian)
    LOAD     u32 length of the JSON of `Load`, that JSON, then the program's data
    RUN      u8 mode, then the raw JSON values as a MessagePack array of byte strings
    HELLO    JSON: the layers that the worker put itself under
    LOADED   empty
    REFUSED  UTF-8: why the program, or the lock-down, was refused
    ANSWERS  JSON: answers of the next records of the RUN; LAST: the same, and they were the last

Values are never joined into one JSON text: a crafted value could close the array and shift its neighbours' answers.
MessagePack of byte strings costs 17 ns a value to write and 31 to read; lengths and slices cost 110 and 160.
What comes from the worker is hostile: JSON only, bounded, and a frame out of turn costs the worker its life.

The shared page holds, as u64 words: INDEX, the record that the worker is at, and STATUS, why it ended itself. A program
without a wall in front of it could forge both; the parent believes them only as far as blaming one record.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

HEADER: Final = struct.Struct("<IB")
PAGE_BYTES: Final = 4096

LOAD, RUN, HELLO, LOADED, REFUSED, ANSWERS, LAST = range(1, 8)

# How RUN is run: whole chunks by `run_batch`, or one by one to name a culprit.
BATCH, SINGLY = 0, 1

INDEX, STATUS = 0, 1
IDLE: Final = (1 << 64) - 1  # no record in hand
IN_BATCH: Final = 1 << 40  # added to the index of the first record of a chunk that `run_batch` has

ENDED_BY_MEMORY: Final = 1

# A frame of answers is sent when it has grown past this, so no frame is larger than this plus one answer.
FLUSH_BYTES: Final = 1 << 20
MAX_REASON: Final = 300


class Load(msgspec.Struct, frozen=True):
    """A program on its way into a worker; its data follows the JSON, so that weights are not sent as base64."""

    source: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    gate: bool
