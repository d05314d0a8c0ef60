"""Requests of one byte and a number in, locked-down workers out: a process that has everything imported and forks.

It runs trusted code only and never sees a program. It lives as long as its control socket: when the parent goes, by
any way, the socket ends, the zygote exits and the kernel kills every worker (parent-death signal).

    b"F", warm -> b"f", pid and the descriptors of the worker's socket, of its shared page and (Linux) of its pidfd;
                  with warm = 1 the worker rehearses a load before it waits for one
    b"R", pid  -> b"r", its wait status; the parent has seen its socket end, so it is dead or dying
    b"B", pid  -> no answer: the parent has killed it; it is buried when there is time
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import mmap
import os
import pkgutil
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec

from executors.jail import loader, lockdown, worker
from executors.jail.limits import Limits
from executors.jail.protocol import HEADER, IDLE, INDEX, PAGE_BYTES, REFUSED
from programs.gate import MODULES, RUNTIME

REQUEST: Final = struct.Struct("<cq")
DESCRIPTOR: Final = 3  # the worker's socket; everything else is closed
_SOCKET_BUFFER = 1 << 20

# What the allowed modules import on first use, when no file can be opened any more.
_LATE: Final = (
    *("_strptime", "locale", "copyreg", "warnings", "_pydecimal", "_compat_pickle", "traceback", "linecache"),
    *("encodings.idna", "encodings.punycode", "encodings.ascii", "encodings.latin_1", "encodings.cp1252"),
    *(
        "encodings.utf_16",
        "encodings.utf_16_le",
        "encodings.utf_32",
        "encodings.utf_8_sig",
        "encodings.raw_unicode_escape",
    ),
    *("encodings.unicode_escape", "encodings.rot_13", "encodings.hex_codec", "encodings.base64_codec"),
)


class Config(msgspec.Struct, frozen=True):
    """What the parent tells the zygote when it starts it."""

    control: int
    mode: lockdown.Mode
    limits: Limits
    preload: tuple[str, ...] = ()


def preload(extra: tuple[str, ...]) -> None:
    """Import all that a program may import: a worker cannot open a file."""
    for name in (*sorted(MODULES), *_LATE):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in extra:
        importlib.import_module(name)
    try:
        runtime = importlib.import_module(RUNTIME)
    except ModuleNotFoundError:
        return
    for found in pkgutil.walk_packages(runtime.__path__, RUNTIME + "."):
        importlib.import_module(found.name)


def main(argument: str) -> NoReturn:
    """`argument` is the JSON of a `Config`."""
    config = msgspec.json.decode(argument, type=Config)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A signal for the whole group (Ctrl-C, systemd) must not end workers that are draining.
        signal.signal(number, signal.SIG_IGN)
    lockdown.die_with_parent()
    control = socket.socket(fileno=config.control)
    preload(config.preload)
    sys.path[:] = []
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("1000")  # for the workers, who inherit it and are larger: first to go when the machine is full
    loader.rehearse()
    plan = lockdown.Plan(DESCRIPTOR, config.mode, lockdown.address_space_bytes() + config.limits.memory_bytes)
    control.sendall(REQUEST.pack(b"h", 0))
    gc.collect()
    gc.freeze()
    worker.silence()
    dying: set[int] = set()
    while True:
        request = control.recv(REQUEST.size, socket.MSG_WAITALL)
        if len(request) < REQUEST.size:
            os._exit(0)
        operation, number = REQUEST.unpack(request)
        if operation == b"F":
            _fork(control, config, plan, warm=bool(number))
        elif operation == b"R":
            control.sendall(REQUEST.pack(b"r", _wait(number, 0)))
        else:
            dying.add(number)
        dying = {pid for pid in dying if _wait(pid, os.WNOHANG) is None}


def _wait(pid: int, flags: int) -> Any:
    """The wait status; None while it lives; 0 when there is no such child."""
    try:
        found, status = os.waitpid(pid, flags)
    except ChildProcessError:
        return 0
    return status if found else None


def _shared_page() -> int:
    if hasattr(os, "memfd_create"):
        page = os.memfd_create("loopai-page", os.MFD_CLOEXEC)
    else:
        page, path = tempfile.mkstemp()
        os.unlink(path)
    os.ftruncate(page, PAGE_BYTES)
    return page


def _fork(control: socket.socket, config: Config, plan: lockdown.Plan, *, warm: bool) -> None:
    """Fork one worker and hand its descriptors to the parent; errno when the system has none left."""
    try:
        near, far = socket.socketpair()
        page = _shared_page()
        pid = os.fork()
    except OSError as error:
        control.sendall(REQUEST.pack(b"e", error.errno or 0))
        return
    if pid == 0:
        near.detach()
        _become_worker(far.detach(), page, config, plan, warm)
    descriptors = [near.fileno(), page]
    if hasattr(os, "pidfd_open"):
        descriptors.append(os.pidfd_open(pid))
    try:
        socket.send_fds(control, [REQUEST.pack(b"f", pid)], descriptors)
    finally:
        near.close()
        far.close()
        for descriptor in descriptors[1:]:
            os.close(descriptor)


def _become_worker(connection: int, page: int, config: Config, plan: lockdown.Plan, warm: bool) -> NoReturn:
    try:
        shared = memoryview(mmap.mmap(page, PAGE_BYTES)).cast("Q")
        shared[INDEX] = IDLE
        ticker = worker.Ticker(shared, config.limits)
        os.dup2(connection, DESCRIPTOR)
        os.closerange(0, DESCRIPTOR)
        os.closerange(DESCRIPTOR + 1, os.sysconf("SC_OPEN_MAX"))
        layers = plan.lock()
        plan.verify()
        gc.set_threshold(10_000, 20, 20)
        worker.serve(DESCRIPTOR, shared, ticker, config.limits, layers, warm)
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}".encode()
        with contextlib.suppress(BaseException):
            os.write(DESCRIPTOR, HEADER.pack(len(reason), REFUSED) + reason)
    os._exit(4)


def command(paths: list[str]) -> Callable[[str], list[str]]:
    """The arguments after the interpreter's name: no site, no user, no current folder; then the config."""
    start = f"import sys; sys.path[:0] = {json.dumps(paths)}; from executors.jail.zygote import main; main(sys.argv[1])"
    return lambda config: ["-s", "-S", "-P", "-B", "-X", "utf8", "-c", start, config]
