"""A safetensors file as bytes in, its tensors as views out: a reader in twenty lines of standard library.

The format (https://github.com/huggingface/safetensors#format): eight bytes little-endian header size, a JSON header of
name -> dtype, shape, data_offsets, then the raw arrays. Nothing in it can run.
"""

from __future__ import annotations

import json
from typing import Any

HEADER_LIMIT = 4_000_000
_WIDTH = {"U8": 1, "U16": 2, "F32": 4}


def read(data: bytes) -> tuple[dict[str, Any], dict[str, tuple[str, tuple[int, ...], memoryview]]]:
    """The description under the metadata key `loopai`, and name -> (dtype, shape, bytes) of each tensor.

    Raises ValueError on anything that is not such a file of U8, U16 and F32 tensors.
    """
    if len(data) < 8:
        raise ValueError("the weights are shorter than their header")
    size = int.from_bytes(data[:8], "little")
    if size > min(HEADER_LIMIT, len(data) - 8):
        raise ValueError("the header of the weights is longer than the file")
    header = json.loads(data[8 : 8 + size])
    body = memoryview(data)[8 + size :]
    described = json.loads(header.pop("__metadata__", {}).get("loopai", "{}"))
    tensors: dict[str, tuple[str, tuple[int, ...], memoryview]] = {}
    for name, entry in header.items():
        dtype, extent, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        wanted = _WIDTH.get(dtype, 0)
        for n in extent:
            wanted *= n
        if dtype not in _WIDTH or not 0 <= begin <= end <= len(body) or end - begin != wanted:
            raise ValueError(f"tensor {name} does not fit the file")
        tensors[name] = (dtype, extent, body[begin:end])
    return described, tensors


def lines(view: memoryview) -> list[str]:
    """A tensor of UTF-8 bytes as its lines; an empty tensor has none."""
    raw = bytes(view).decode()
    return raw.split("\n") if raw else []
