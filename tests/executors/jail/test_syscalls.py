"""The seccomp table: simulated for both architectures, and tried for real with raw calls from native code."""

from __future__ import annotations

import os
import platform
import struct
import sys

import pytest

from executors.jail import syscalls
from executors.jail.jail import Jail
from executors.jail.syscalls import ARM64, X86_64, Architecture, worker_filter
from tests.executors.jail.helpers import Open

KILL, ALLOW, DENY = 0x80000000, 0x7FFF0000, 0x00050001
AUDIT_I386, AUDIT_ARM = 0x40000003, 0x40000028


def decide(code: bytes, number: int, audit: int, *arguments: int) -> int:
    """What the kernel would: classic BPF over struct seccomp_data."""
    data = struct.pack(
        "<iIQ6Q", number if number < 1 << 31 else number - (1 << 32), audit, 0, *(*arguments, *[0] * 6)[:6]
    )
    steps = list(struct.iter_unpack("<HBBI", code))
    accumulator = at = 0
    while True:
        operation, if_true, if_false, value = steps[at]
        at += 1
        if operation == syscalls.LOAD_WORD:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == syscalls.RETURN:
            return int(value)
        else:
            holds = {
                syscalls.JUMP_EQUAL: accumulator == value,
                syscalls.JUMP_AT_LEAST: accumulator >= value,
                syscalls.JUMP_BITS: bool(accumulator & value),
            }[operation]
            at += if_true if holds else if_false


@pytest.mark.parametrize("architecture", [X86_64, ARM64], ids=["x86-64", "arm64"])
def test_only_the_named_calls_pass(architecture: Architecture) -> None:
    code = worker_filter(architecture, 3)
    passed = {n for n in range(1024) if decide(code, n, architecture.audit, 3) == ALLOW}
    assert passed == set(architecture.numbers.values())
    assert all(decide(code, n, architecture.audit, 3) in (ALLOW, DENY) for n in range(1024))


@pytest.mark.parametrize("architecture", [X86_64, ARM64], ids=["x86-64", "arm64"])
def test_reading_and_writing_is_for_the_one_descriptor(architecture: Architecture) -> None:
    code = worker_filter(architecture, 3)
    for name in ("read", "write"):
        number = architecture.numbers[name]
        assert decide(code, number, architecture.audit, 3) == ALLOW
        # The kernel takes the low word of a descriptor, and so does the filter.
        assert decide(code, number, architecture.audit, 3 + (1 << 32)) == ALLOW
        for other in (0, 1, 2, 4, 1000, (1 << 32) - 1):
            assert decide(code, number, architecture.audit, other) == DENY


@pytest.mark.parametrize("architecture", [X86_64, ARM64], ids=["x86-64", "arm64"])
def test_memory_is_never_executable(architecture: Architecture) -> None:
    code = worker_filter(architecture, 3)
    for name in ("mmap", "mprotect"):
        for protection in range(16):
            expected = DENY if protection & 4 else ALLOW
            assert decide(code, architecture.numbers[name], architecture.audit, 0, 4096, protection) == expected


@pytest.mark.parametrize("architecture", [X86_64, ARM64], ids=["x86-64", "arm64"])
def test_another_architectures_way_in_kills(architecture: Architecture) -> None:
    code = worker_filter(architecture, 3)
    for audit in {AUDIT_I386, AUDIT_ARM, X86_64.audit, ARM64.audit, 0} - {architecture.audit}:
        assert {decide(code, n, audit, 3) for n in range(512)} == {KILL}


def test_x32_kills() -> None:
    code = worker_filter(X86_64, 3)
    assert {decide(code, 0x40000000 + n, X86_64.audit, 3) for n in range(600)} == {KILL}
    assert decide(code, 0xFFFFFFFF, X86_64.audit) == KILL


def test_the_numbers_of_this_machine_are_its_own() -> None:
    table = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
    if not os.path.exists(table):
        pytest.skip("no kernel headers here")
    with open(table, encoding="ascii") as header:
        known = dict(line.split()[1:3] for line in header if line.startswith("#define __NR_"))
    assert {name: int(known[f"__NR_{name}"]) for name in X86_64.numbers} == X86_64.numbers


def test_the_generic_numbers_are_those_of_arm64() -> None:
    table = "/usr/include/asm-generic/unistd.h"
    if not os.path.exists(table):
        pytest.skip("no kernel headers here")
    with open(table, encoding="ascii") as header:
        lines = [line.split() for line in header if line.startswith("#define __NR")]
    known = {name: number for _, name, number, *_ in (line for line in lines if len(line) > 2)}
    for name, number in ARM64.numbers.items():
        found = known[f"__NR_{name}"]
        assert int(known.get(found, found)) == number


# Calls of x86-64 that a worker has no business with: number by name.
FORBIDDEN = {
    "open": 2,
    "close": 3,
    "stat": 4,
    "fstat": 5,
    "lstat": 6,
    "poll": 7,
    "lseek": 8,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "ioctl": 16,
    "pread64": 17,
    "pwrite64": 18,
    "readv": 19,
    "writev": 20,
    "access": 21,
    "pipe": 22,
    "select": 23,
    "msync": 26,
    "shmget": 29,
    "shmat": 30,
    "dup": 32,
    "dup2": 33,
    "pause": 34,
    "nanosleep": 35,
    "alarm": 37,
    "getpid": 39,
    "sendfile": 40,
    "socket": 41,
    "connect": 42,
    "accept": 43,
    "sendto": 44,
    "recvfrom": 45,
    "sendmsg": 46,
    "recvmsg": 47,
    "shutdown": 48,
    "bind": 49,
    "listen": 50,
    "getsockname": 51,
    "socketpair": 53,
    "setsockopt": 54,
    "clone": 56,
    "fork": 57,
    "vfork": 58,
    "execve": 59,
    "kill": 62,
    "uname": 63,
    "fcntl": 72,
    "flock": 73,
    "ftruncate": 77,
    "getdents": 78,
    "getcwd": 79,
    "chdir": 80,
    "rename": 82,
    "mkdir": 83,
    "unlink": 87,
    "symlink": 88,
    "chmod": 90,
    "chown": 92,
    "setrlimit": 160,
    "ptrace": 101,
    "getuid": 102,
    "setuid": 105,
    "setsid": 112,
    "capset": 126,
    "mknod": 133,
    "personality": 135,
    "prctl": 157,
    "arch_prctl": 158,
    "chroot": 161,
    "mount": 165,
    "swapon": 167,
    "reboot": 169,
    "init_module": 175,
    "tkill": 200,
    "sched_setaffinity": 203,
    "io_setup": 206,
    "epoll_create": 213,
    "timer_create": 222,
    "clock_settime": 227,
    "tgkill": 234,
    "mq_open": 240,
    "kexec_load": 246,
    "add_key": 248,
    "keyctl": 250,
    "openat": 257,
    "unlinkat": 263,
    "unshare": 272,
    "splice": 275,
    "signalfd": 282,
    "timerfd_create": 283,
    "eventfd": 284,
    "perf_event_open": 298,
    "prlimit64": 302,
    "name_to_handle_at": 303,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "seccomp": 317,
    "memfd_create": 319,
    "bpf": 321,
    "execveat": 322,
    "userfaultfd": 323,
    "pkey_mprotect": 329,
    "io_uring_setup": 425,
    "open_tree": 428,
    "pidfd_open": 434,
    "clone3": 435,
    "openat2": 437,
    "pidfd_getfd": 438,
    "landlock_create_ruleset": 444,
    "memfd_secret": 447,
    "process_madvise": 440,
    "cachestat": 451,
    "map_shadow_stack": 453,
}

NATIVE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def run(record):
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(a) for a in record])
    return [result, ctypes.get_errno()]
"""

x86_64_only = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="these are the numbers of x86-64"
)


@x86_64_only
async def test_every_forbidden_call_of_native_code_is_denied(opened: Open) -> None:
    assert len(FORBIDDEN) >= 50
    cell = await opened(NATIVE, gate=False)
    answers = await cell.run([f"[{number}, 0, 0, 0, 0, 0, 0]".encode() for number in FORBIDDEN.values()])
    for name, answer in zip(FORBIDDEN, answers, strict=True):
        assert (answer.outcome, bytes(answer.output)) == ("ok", b"[-1,1]"), name


@x86_64_only
async def test_reading_writing_and_mapping_of_native_code_is_as_the_table_says(opened: Open) -> None:
    cell = await opened(NATIVE, gate=False)
    calls = [[0, 0, 0, 0], [0, 4, 0, 0], [1, 1, 0, 0], [1, 2, 0, 0], [9, 0, 4096, 7, 34, -1, 0], [10, 0, 4096, 5]]
    answers = await cell.run([str(call).encode() for call in calls])
    assert {bytes(a.output) for a in answers} == {b"[-1,1]"}


@x86_64_only
async def test_x32_ends_the_worker(jail: Jail, opened: Open) -> None:
    cell = await opened(NATIVE, gate=False)
    answers = await cell.run([b"[228, 1, 0]", f"[{0x40000000 + 39}]".encode(), b"[228, 1, 0]"])
    assert [a.outcome for a in answers] == ["ok", "killed", "ok"]
    assert answers[1].reason == "killed: a forbidden system call"
    assert jail.kills["policy"] == 1


@x86_64_only
async def test_int_0x80_ends_the_worker(jail: Jail, opened: Open) -> None:
    # No memory may be made executable, so the two bytes are looked for in code that is there, and jumped to.
    source = """
import ctypes
STARTS = [ctypes.cast(f, ctypes.c_void_p).value for f in (ctypes.CDLL(None).qsort, ctypes.pythonapi.PyLong_FromLong)]
def run(record):
    which, offset, jump = record
    here = STARTS[which] + offset
    if jump:
        return ctypes.CFUNCTYPE(ctypes.c_long)(here)()
    found = ctypes.string_at(here, 1 << 14).find(b"\\xcd\\x80")
    return None if found < 0 else [which, offset + found, True]
"""
    cell = await opened(source, gate=False)
    for which in (0, 1):
        for step in range(200):
            (found,) = await cell.run([f"[{which}, {step << 14}, false]".encode()])
            if found.outcome == "killed":
                break  # past the end of that code
            if found.outcome == "ok":
                before = jail.kills["policy"]
                (answer,) = await cell.run([bytes(found.output)])
                assert answer.reason == "killed: a forbidden system call"
                assert jail.kills["policy"] == before + 1
                return
    pytest.skip("neither the C library nor Python holds these two bytes in a row")
