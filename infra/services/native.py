"""A data folder in, one running server out: Kafka, Redis and PostgreSQL without Docker.

Each starter returns what a client must know, with the process id and its start time: an id alone may long belong to
someone else. All listen on loopback, on free ports, and are tuned for tests: little memory, no fsync.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MAX_MESSAGE_BYTES = 16 * 1024 * 1024 + 64 * 1024
JAVA_MINIMUM = 17
POSTGRES_MINIMUM = 15


class ServiceError(Exception):
    """A server cannot be had here. The message says what is missing, why, and how to get it."""


def start_kafka(folder: Path) -> dict[str, Any]:
    """One node of Apache Kafka in KRaft mode: its own controller, one replica of everything."""
    begun = time.monotonic()
    java, version = _java(), _kafka_version()
    jars = _kafka_jars(version)
    classpath = f"{jars}{os.sep}*"
    home = _fresh_folder(folder / "kafka")
    port, controller = free_port(), free_port()
    properties = home / "server.properties"
    properties.write_text(_kafka_properties(home / "data", port, controller))
    quiet = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.log.kafka.server=info"]
    small = ["-Xmx512m", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    tool = [java, *small, quiet[0], "-cp", classpath, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    # Any 16 bytes do, in the form that Kafka writes them; one folder keeps its own for ever.
    done = _run([*tool, "--cluster-id", "bG9vcGFpLXRlc3RzLS0tLQ", "--config", str(properties)])
    if done.returncode != 0:
        raise ServiceError(f"Kafka's storage could not be formatted in {home}:\n{(done.stdout + done.stderr)[-2000:]}")
    log = home / "kafka.log"
    pid = _spawn([java, *small, *quiet, "-cp", classpath, "kafka.Kafka", str(properties)], log)
    _wait("Kafka", pid, log, lambda: "Kafka Server started" in log.read_text(errors="replace") and answers(port), 90)
    return {
        **address("kafka", port),
        **_identity(pid, log, begun),
        "home": str(home),
        "version": version,
        "java": java,
        "classpath": classpath,
    }


def _kafka_properties(data: Path, port: int, controller: int) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data,
        "num.partitions": 4,
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
        "socket.request.max.bytes": 4 * MAX_MESSAGE_BYTES,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "broker.session.timeout.ms": 2000,
        "broker.heartbeat.interval.ms": 500,
        "log.segment.bytes": 64 * 1024 * 1024,
        # Kafka sets aside 128 MB for its cleaner unless it is told otherwise.
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _java() -> str:
    hint = "Install a Java runtime (Debian: apt-get install default-jre-headless)."
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java") or (shutil.which("java", path=f"{home}/bin") if home else None)
    if java is None:
        raise ServiceError(f"Kafka needs Java >= {JAVA_MINIMUM}, and there is no java on the path. {hint}")
    found = re.search(r'version "(\d+)', _run([java, "-version"]).stderr)
    if found is None or int(found[1]) < JAVA_MINIMUM:
        raise ServiceError(f"Kafka needs Java >= {JAVA_MINIMUM}; {java} is {found[1] if found else 'unknown'}. {hint}")
    return java


def _kafka_version() -> str:
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", (HERE / "pom.xml").read_text())
    if found is None:
        raise ServiceError("infra/services/pom.xml names no kafka.version.")
    return found[1]


def _kafka_jars(version: str) -> Path:
    """Kafka's jars, copied once a machine into a cache outside the clone."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loopai" / f"kafka-{version}"
    wanted = hashlib.sha256((HERE / "pom.xml").read_bytes()).hexdigest()
    stamp = cache / "pom.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return cache
    maven = shutil.which("mvn")
    if maven is None:
        raise ServiceError("Kafka's jars come by Maven, and there is no mvn. Debian: apt-get install maven.")
    _say(f"kafka: fetching its jars into {cache} (once; 55 MB)")
    cache.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"kafka-{version}-", dir=cache.parent))
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
    done = _run([maven, "-B", "-q", "-f", str(HERE / "pom.xml"), *goal], timeout=600)
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise ServiceError(f"Maven could not fetch Kafka {version}:\n{(done.stdout + done.stderr)[-2000:]}")
    (fresh / "pom.sha256").write_text(wanted)
    shutil.rmtree(cache, ignore_errors=True)
    try:
        fresh.replace(cache)
    except OSError:
        # Another run was quicker; its copy is as good.
        shutil.rmtree(fresh, ignore_errors=True)
    return cache


def start_redis(folder: Path) -> dict[str, Any]:
    """Redis in memory only: nothing is written to disk, and a full memory is an error, not an eviction."""
    begun = time.monotonic()
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        raise ServiceError("There is no redis-server on the path. Debian: apt-get install redis-server.")
    home, port = _fresh_folder(folder / "redis"), free_port()
    log = home / "redis.log"
    options = {"port": port, "bind": "127.0.0.1", "dir": home, "save": "", "appendonly": "no", "maxmemory": "256mb"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    pid = _spawn([server, *words, "--maxmemory-policy", "noeviction"], log)
    _wait("Redis", pid, log, lambda: answers(port), 30)
    return {**address("redis", port), **_identity(pid, log, begun), "home": str(home)}


def start_postgres(folder: Path) -> dict[str, Any]:
    """PostgreSQL with one role and one database, both `loopai`, without a password: loopback only."""
    begun = time.monotonic()
    binaries = _postgres_binaries()
    user = _unprivileged_user()
    home = _postgres_home(folder / "postgres", user)
    data, log, port = home / "data", home / "postgres.log", free_port()
    if not (data / "PG_VERSION").exists():
        words = [str(binaries / "initdb"), "-D", str(data), "-U", "loopai", "-A", "trust", "-E", "UTF8", "--no-sync"]
        done = _run([*words, "--no-locale"], user=user)
        if done.returncode != 0:
            raise ServiceError(f"initdb failed in {data}:\n{(done.stdout + done.stderr)[-2000:]}")
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "shared_buffers": "64MB",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    pid = _spawn([str(binaries / "postgres"), "-D", str(data), *words], log, user=user)
    client = ["-h", "127.0.0.1", "-p", str(port), "-U", "loopai"]
    ready = [str(binaries / "pg_isready"), "-q", *client]
    _wait("PostgreSQL", pid, log, lambda: _run(ready).returncode == 0, 60)
    made = _run([str(binaries / "createdb"), *client, "loopai"])
    if made.returncode != 0 and "already exists" not in made.stderr:
        end(pid, started_at(pid) or "", signal.SIGINT)
        raise ServiceError(f"The database could not be created: {made.stderr.strip()}")
    return {**address("postgres", port), **_identity(pid, log, begun), "home": str(home)}


def _postgres_binaries() -> Path:
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql@*/bin")]
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    found: list[tuple[int, Path]] = []
    for folder in folders:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            version = re.search(r"(\d+)", _run([str(folder / "postgres"), "--version"]).stdout)
            found.append((int(version[1]) if version else 0, folder))
    if not found or max(found)[0] < POSTGRES_MINIMUM:
        raise ServiceError(f"There is no PostgreSQL server >= {POSTGRES_MINIMUM}. Debian: apt-get install postgresql.")
    return max(found)[1]


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: then it runs as the user that its package made."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise ServiceError(
            "PostgreSQL refuses to run as root, and there is no user `postgres` to run it as. "
            "Run as another user, or add one: useradd --system postgres."
        ) from None


def _postgres_home(wanted: Path, user: str | None) -> Path:
    wanted.mkdir(parents=True, exist_ok=True)
    if user is None:
        return wanted
    shutil.chown(wanted, user)
    if _run(["test", "-w", str(wanted)], user=user).returncode == 0:
        return wanted
    # A clone below someone's private home: the server's user cannot reach it.
    digest = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    other = Path(tempfile.gettempdir()) / f"loopai-postgres-{digest}"
    other.mkdir(mode=0o700, exist_ok=True)
    if other.is_symlink() or other.stat().st_uid not in (0, pwd.getpwnam(user).pw_uid):
        raise ServiceError(f"{other} belongs to someone else; remove it.")
    shutil.chown(other, user)
    return other


# On SIGTERM PostgreSQL waits for its clients to leave; SIGINT is its fast stop.
STOP = {"kafka": signal.SIGTERM, "redis": signal.SIGTERM, "postgres": signal.SIGINT}

START: dict[str, Callable[[Path], dict[str, Any]]] = {
    "kafka": start_kafka,
    "redis": start_redis,
    "postgres": start_postgres,
}


def address(name: str, port: int) -> dict[str, Any]:
    """What a client connects to."""
    if name == "kafka":
        return {"bootstrap": f"127.0.0.1:{port}", "port": port}
    if name == "redis":
        return {"url": f"redis://127.0.0.1:{port}/0", "port": port}
    return {"url": f"postgresql+asyncpg://loopai@127.0.0.1:{port}/loopai", "port": port}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def started_at(pid: int) -> str | None:
    """When the process began, in whatever form the system has; None when there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    return _run(["ps", "-o", "lstart=", "-p", str(pid)]).stdout.strip() or None


def same_process(pid: int, started: str) -> bool:
    """Whether `pid` is still the process that was started then."""
    return started_at(pid) == started


def end(pid: int, started: str, polite: signal.Signals = signal.SIGTERM, timeout: float = 20.0) -> bool:
    """Ends that process, by force after `timeout` seconds. False when it was gone already, or is another one."""
    for number, patience in ((polite, timeout), (signal.SIGKILL, 10.0)):
        if not same_process(pid, started):
            return number == signal.SIGKILL
        os.kill(pid, number)
        until = time.monotonic() + patience
        while time.monotonic() < until and same_process(pid, started):
            _reap(pid)
            time.sleep(0.05)
    return True


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _identity(pid: int, log: Path, begun: float) -> dict[str, Any]:
    started = started_at(pid)
    if started is None:
        raise ServiceError(f"It ended right after its start. {_tail(log)}")
    return {"pid": pid, "started": started, "log": str(log), "seconds": round(time.monotonic() - begun, 1)}


def _fresh_folder(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    return home


def _spawn(command: list[str], log: Path, user: str | None = None) -> int:
    # A session of its own and no pipes: it goes on when the shell, or the test run, that started it ends.
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/", **_as(user)
        )
    return process.pid


def _run(command: list[str], user: str | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd="/",
            **_as(user),
        )
    except subprocess.TimeoutExpired:
        raise ServiceError(f"`{Path(command[0]).name}` did not end within {timeout:g} s.") from None


def _as(user: str | None) -> dict[str, Any]:
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _wait(name: str, pid: int, log: Path, ready: Callable[[], bool], timeout: float) -> None:
    begun = time.monotonic()
    said = begun
    while not ready():
        now = time.monotonic()
        _reap(pid)
        if started_at(pid) is None:
            raise ServiceError(f"{name} ended while it started. {_tail(log)}")
        if now - begun > timeout:
            os.kill(pid, signal.SIGKILL)
            raise ServiceError(f"{name} was not ready after {timeout:g} s. {_tail(log)}")
        if now - said > 5:
            said = now
            _say(f"{name}: waiting until it is ready ({now - begun:.0f} s of at most {timeout:g} s)")
        time.sleep(0.05)


def _tail(log: Path) -> str:
    return f"The end of {log}:\n{log.read_text(errors='replace')[-2000:]}"


def _say(words: str) -> None:
    print(f"services: {words}", file=sys.stderr, flush=True)
