"""What an app runs now, and which of its versions answers a given key.

A deployment is the whole state an executor needs beside the programs: it travels on the compacted topic
`loopai.deployments`, keyed by app. Revisions only grow; an executor ignores one that is not newer than its own.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from loopai.apps import Sampling
from loopai.hashing import fraction, seed_of

Variant = Literal["stable", "candidate"]
Mode = Literal["none", "shadow", "canary"]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What an app runs now.

    `programs` maps each live version number (as text) to its program id. In mode `canary`, `share` percent of the
    keys go to the candidate; in `shadow` both answer and the stable one's answer counts. `salt` is fixed for the life
    of a rollout, so a key's place never moves while the share grows.
    """

    app: str
    revision: int
    stable: int | None = None
    candidate: int | None = None
    mode: Mode = "none"
    share: int = 0
    salt: str = ""
    programs: dict[str, str] = {}
    sampling: Sampling = Sampling()
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}
    paused: bool = False

    def variant_for(self, key: bytes) -> Variant:
        """Who answers `key`: the candidate for the first `share` percent of the salted hash, else the stable one."""
        if self.mode != "canary" or self.candidate is None:
            return "stable"
        return "candidate" if fraction(seed_of(self.salt), key) * 100 < self.share else "stable"

    def version_of(self, variant: Variant) -> int | None:
        """The version number behind a variant, or None when there is none."""
        return self.candidate if variant == "candidate" else self.stable
