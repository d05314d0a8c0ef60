"""A process in, the same process with nothing left to reach out. Linux by ctypes; no capability and no library needed.

The order matters. Descriptors first, while close_range may be called. Then the parent-death signal, the uid (which
clears that signal, so it is set again) and the capabilities; no_new_privs before Landlock and seccomp, which demand it;
rlimits after the uid, because NPROC does not bind root; seccomp last, because it forbids every step before it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from typing import Final, Literal

from executors.jail import syscalls

Mode = Literal["full", "process"]

NOBODY: Final = 65534
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 1, 4, 22, 38, 39
SECCOMP_MODE_FILTER = 2
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
LANDLOCK_VERSION_FLAG = 1
CAP_KILL = 5
CAPABILITY_VERSION_3 = 0x20080522

_libc: Final = ctypes.CDLL(None, use_errno=True)
_LINUX: Final = sys.platform == "linux"


def _prctl(option: int, *arguments: object) -> int:
    values = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in (*arguments, 0, 0, 0, 0)[:4]]
    return int(_libc.prctl(ctypes.c_int(option), *values))


def _syscall(number: int, *arguments: object) -> int:
    function = _libc.syscall
    function.restype = ctypes.c_long
    return int(function(ctypes.c_long(number), *arguments))


def _failed(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")


def die_with_parent() -> None:
    """SIGKILL for this process when the thread that forked it ends."""
    if _LINUX and _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL)):
        raise _failed("PR_SET_PDEATHSIG")


def address_space_bytes() -> int:
    """The size of this process, which the memory limit is put on top of. 0 where it cannot be read."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def landlock_abi() -> int:
    """The version of Landlock in this kernel; 0 when it is absent or switched off."""
    if not _LINUX:
        return 0
    abi = _syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(LANDLOCK_VERSION_FLAG))
    return max(0, abi)


def supported() -> dict[str, str]:
    """What this host can do, layer by layer: `available`, `abi N`, or why not. Changes nothing."""
    can = {"rlimits": "available"}
    can["uid"] = "available" if os.geteuid() == 0 else "off: not root, workers keep this user"
    if not _LINUX:
        absent = f"absent: {sys.platform} is not Linux"
        return can | dict.fromkeys(("no_new_privs", "landlock", "seccomp"), absent)
    can["no_new_privs"] = "available" if _prctl(PR_GET_NO_NEW_PRIVS) >= 0 else "absent: kernel before 3.5"
    abi = landlock_abi()
    can["landlock"] = f"abi {abi}" if abi else "absent: kernel before 5.13, or switched off"
    machine = platform.machine()
    if machine not in syscalls.ARCHITECTURES:
        can["seccomp"] = f"absent: no table for {machine}"
    else:
        # An address that cannot be read is EFAULT where filters are known, EINVAL where they are not.
        _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0)
        known = ctypes.get_errno() == 14
        can["seccomp"] = "available" if known else "absent: the kernel has no seccomp filters"
    return can


def _may_kill_others() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        held = next((line.split()[1] for line in status if line.startswith("CapEff:")), "0")
    return bool(int(held, 16) >> CAP_KILL & 1)


def _drop_user() -> str:
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except PermissionError:
        return "off: root without CAP_SETUID"
    return "on"


def _drop_capabilities() -> None:
    """For a root that may not change its uid: nothing permitted, effective or inheritable."""
    header = struct.pack("<Ii", CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, bytes(24)):
        raise _failed("capset")


def _landlock(abi: int) -> None:
    """No files, no TCP, no abstract sockets, no signals outside: every right handled, none granted."""
    files = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        if abi >= since:
            files |= 1 << bit
    attributes = struct.pack("<QQQ", files, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0))
    if ruleset < 0:
        raise _failed("landlock_create_ruleset")
    denied = _syscall(LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    os.close(ruleset)
    if denied:
        raise _failed("landlock_restrict_self")


def _limit(name: str, bound: int) -> None:
    which = getattr(resource, f"RLIMIT_{name}", None)
    if which is not None:
        hard = resource.getrlimit(which)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(which, (bound, bound))


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


class Plan:
    """What a worker will do to itself. Made once, before the forks, with all that can be prepared.

    `descriptor` is the one that stays useful; `memory_bytes` bounds the whole address space. `mode="process"` leaves
    seccomp out and keeps the rest.
    """

    def __init__(self, descriptor: int, mode: Mode, memory_bytes: int) -> None:
        self._parent = os.getpid()
        self._full = mode == "full"
        self._stays = "off: not root" if os.geteuid() else "" if _LINUX else "off: not Linux"
        if not self._stays and not _may_kill_others():
            self._stays = "off: root without CAP_KILL could not end a worker of another user"
        self._abi = landlock_abi()
        # Elsewhere the address space is no measure of memory.
        self._limits = {"AS": memory_bytes, "STACK": 8 << 20} if _LINUX else {}
        self._limits |= dict.fromkeys(("FSIZE", "CORE", "NPROC", "MEMLOCK", "MSGQUEUE", "NOFILE"), 0)
        if self._full:
            code = syscalls.worker_filter(syscalls.ARCHITECTURES[platform.machine()], descriptor)
            self._filter = _Filter(len(code) // 8, code)

    def lock(self) -> dict[str, str]:
        """Give everything up, in a fresh fork with one thread. Returns the layers now in force; raises OSError."""
        die_with_parent()
        layers = {"uid": self._stays or _drop_user()}
        if _LINUX:
            if layers["uid"] != "on":
                _drop_capabilities()
            die_with_parent()
            if os.getppid() != self._parent:
                os._exit(5)  # it died before its death could be a signal
            if _prctl(PR_SET_DUMPABLE, 0):
                raise _failed("PR_SET_DUMPABLE")
            if _prctl(PR_SET_NO_NEW_PRIVS, 1):
                raise _failed("PR_SET_NO_NEW_PRIVS")
        layers["no_new_privs"] = "on" if _LINUX else "absent"
        if self._abi:
            _landlock(self._abi)
        layers["landlock"] = f"abi {self._abi}" if self._abi else "absent"
        for name, bound in self._limits.items():
            _limit(name, bound)
        layers["rlimits"] = "on"
        if self._full and _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(self._filter)):
            raise _failed("seccomp")
        layers["seccomp"] = "on" if self._full else "off: executor.jail=process"
        return layers

    def verify(self) -> None:
        """Try what must fail, from inside: raises RuntimeError when a wall is not there."""
        attempts = {"open a file": lambda: os.open("/", os.O_RDONLY), "make a pipe": os.pipe}
        if self._full:
            attempts["ask for its parent"] = _getppid
        for what, attempt in attempts.items():
            try:
                attempt()
            except OSError:
                continue
            raise RuntimeError(f"the lock-down does not hold: the worker could {what}")


def _getppid() -> None:
    number = {"x86_64": 110}.get(platform.machine(), 173)
    if _syscall(number) == -1:
        raise _failed("getppid")
