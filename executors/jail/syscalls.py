"""An architecture in, the seccomp program of a worker out. Pure, so that arm64 is tested on x86-64.

An allow-list: what is not named fails with EPERM; a call made in the way of another architecture (i386's `int 0x80`,
x32, 32-bit ARM) kills the process, because its numbers mean other calls. `read` and `write` are allowed on one
descriptor only, `mmap` and `mprotect` only without PROT_EXEC.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux; they never change.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec


class Architecture(msgspec.Struct, frozen=True):
    """`audit` is AUDIT_ARCH_*; numbers at or above `foreign_from` belong to another calling convention."""

    audit: int
    foreign_from: int | None
    numbers: dict[str, int]


X86_64: Final = Architecture(
    audit=0xC000003E,
    foreign_from=0x40000000,
    numbers={
        "read": 0,
        "write": 1,
        "mmap": 9,
        "mprotect": 10,
        "munmap": 11,
        "brk": 12,
        "rt_sigreturn": 15,
        "sched_yield": 24,
        "mremap": 25,
        "madvise": 28,
        "setitimer": 38,
        "exit": 60,
        "gettimeofday": 96,
        "time": 201,
        "futex": 202,
        "restart_syscall": 219,
        "clock_gettime": 228,
        "clock_getres": 229,
        "exit_group": 231,
        "getrandom": 318,
    },
)
ARM64: Final = Architecture(
    audit=0xC00000B7,
    foreign_from=None,
    numbers={
        "read": 63,
        "write": 64,
        "exit": 93,
        "exit_group": 94,
        "futex": 98,
        "setitimer": 103,
        "clock_gettime": 113,
        "clock_getres": 114,
        "sched_yield": 124,
        "restart_syscall": 128,
        "rt_sigreturn": 139,
        "gettimeofday": 169,
        "brk": 214,
        "munmap": 215,
        "mremap": 216,
        "mmap": 222,
        "mprotect": 226,
        "madvise": 233,
        "getrandom": 278,
    },
)
ARCHITECTURES: Final = {"x86_64": X86_64, "aarch64": ARM64, "arm64": ARM64}

CHECKED: Final = ("read", "write", "mmap", "mprotect")

LOAD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
RET_KILL_PROCESS, RET_ERRNO, RET_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
EPERM = 1
# Offsets into struct seccomp_data. The kernel takes a descriptor and `prot` from the low word alone, as we do.
NUMBER, ARCH, FIRST_ARGUMENT, THIRD_ARGUMENT = 0, 4, 16, 32
PROT_EXEC = 4


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def worker_filter(architecture: Architecture, descriptor: int) -> bytes:
    """The BPF program (8 bytes an instruction) of a worker whose only socket is `descriptor`."""
    numbers = architecture.numbers
    deny = _step(RETURN, 0, 0, RET_ERRNO | EPERM)
    allow = _step(RETURN, 0, 0, RET_ALLOW)
    kill = _step(RETURN, 0, 0, RET_KILL_PROCESS)
    steps = [_step(LOAD_WORD, 0, 0, ARCH), _step(JUMP_EQUAL, 1, 0, architecture.audit), kill]
    steps.append(_step(LOAD_WORD, 0, 0, NUMBER))
    if architecture.foreign_from is not None:
        steps += [_step(JUMP_AT_LEAST, 0, 1, architecture.foreign_from), kill]
    for name in ("read", "write"):
        steps += [
            _step(JUMP_EQUAL, 0, 4, numbers[name]),
            _step(LOAD_WORD, 0, 0, FIRST_ARGUMENT),
            _step(JUMP_EQUAL, 0, 1, descriptor),
            allow,
            deny,
        ]
    for name in ("mmap", "mprotect"):
        steps += [
            _step(JUMP_EQUAL, 0, 4, numbers[name]),
            _step(LOAD_WORD, 0, 0, THIRD_ARGUMENT),
            _step(JUMP_BITS, 1, 0, PROT_EXEC),
            allow,
            deny,
        ]
    for name, number in numbers.items():
        if name not in CHECKED:
            steps += [_step(JUMP_EQUAL, 0, 1, number), allow]
    steps.append(deny)
    return b"".join(steps)
