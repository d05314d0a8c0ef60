"""Every topic that Loopai reads or writes: its name, its partitions and how long it is kept."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_PROGRAM_BYTES: Final = 16 * 1024 * 1024
"""The largest message on `loopai.programs`; a program with its weights must fit."""

MAX_RECORD_BYTES: Final = 1024 * 1024
"""The largest input that is processed; a longer one is set aside."""

_DAY_MS: Final = 86_400_000


class Topic(NamedTuple):
    """`partitions` None means the deployment's own number. `compacted` topics keep the last value of each key."""

    name: str
    partitions: int | None = None
    compacted: bool = False
    retention_ms: int = 7 * _DAY_MS
    max_message_bytes: int = 4 * 1024 * 1024


INPUTS: Final = Topic("loopai.inputs")
RESULTS: Final = Topic("loopai.results")
SAMPLES: Final = Topic("loopai.samples")
DEAD_LETTERS: Final = Topic("loopai.dead-letters", retention_ms=30 * _DAY_MS)
VALIDATIONS: Final = Topic("loopai.validations", retention_ms=90 * _DAY_MS)
LABELS: Final = Topic("loopai.labels")
DRIFT_ALERTS: Final = Topic("loopai.drift-alerts", partitions=1, retention_ms=90 * _DAY_MS)
ROLLOUTS: Final = Topic("loopai.rollouts", partitions=1, retention_ms=90 * _DAY_MS)
COMMANDS: Final = Topic("loopai.commands", partitions=1)
METRICS: Final = Topic("loopai.metrics", partitions=1, retention_ms=_DAY_MS)
DEPLOYMENTS: Final = Topic("loopai.deployments", partitions=1, compacted=True)
PROGRAMS: Final = Topic("loopai.programs", partitions=1, compacted=True, max_message_bytes=MAX_PROGRAM_BYTES)

ALL: Final = (
    INPUTS,
    RESULTS,
    SAMPLES,
    DEAD_LETTERS,
    VALIDATIONS,
    LABELS,
    DRIFT_ALERTS,
    ROLLOUTS,
    COMMANDS,
    METRICS,
    DEPLOYMENTS,
    PROGRAMS,
)
