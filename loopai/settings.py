"""Every setting, in one frozen tree, read once at the entry point and passed down.

Order: command line > `LOOPAI_*` environment > `.env` > `loopai.toml` > default. `LOOPAI_KAFKA__BOOTSTRAP_SERVERS`
sets `kafka.bootstrap_servers`; `LOOPAI_<NAME>_FILE` reads a mounted secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from loopai.errors import ConfigurationError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(_Part):
    """Where the stream is. An empty `bootstrap_servers` starts the embedded local broker (never for production)."""

    bootstrap_servers: str = ""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_ca_file: str = ""
    partitions: int = Field(4, ge=1, le=10_000)
    replication_factor: int = Field(1, ge=1, le=10)
    session_timeout_ms: int = Field(8_000, ge=1_000, le=300_000)
    request_timeout_ms: int = Field(20_000, ge=1_000, le=300_000)


class Store(_Part):
    """Where apps, programs and history are kept. Empty means SQLite in the data folder."""

    url: SecretStr = SecretStr("")
    pool_size: int = Field(5, ge=1, le=100)


class Redis(_Part):
    """Shared state of several replicas. Empty means in-process."""

    url: SecretStr = SecretStr("")


class Executor(_Part):
    """The hot path. `jail` says which walls are demanded: `full` refuses to start below the minimum."""

    group: str = "loopai-executors"
    instance: str = ""
    jail: Literal["full", "process"] = "full"
    batch_records: int = Field(2_000, ge=1, le=100_000)
    commit_interval_ms: int = Field(200, ge=10, le=60_000)
    default_app: str = ""
    hard_limit_ms: int = Field(250, ge=10, le=60_000)
    soft_limit_ms: int = Field(100, ge=5, le=60_000)
    memory_mb: int = Field(256, ge=32, le=65_536)
    max_kills: int = Field(20, ge=1, le=10_000)
    dead_letter_run: int = Field(10_000, ge=1)
    exactly_once: bool = False


class Validator(_Part):
    """The checking of samples."""

    group: str = "loopai-validators"
    instance: str = ""
    parallel: int = Field(16, ge=1, le=1_000)
    labels_file: str = ""
    labels_kept: int = Field(200_000, ge=100)


class Controller(_Part):
    """Decisions: rollouts, drift and generation."""

    group: str = "loopai-controllers"
    instance: str = ""
    generation_seconds: float = Field(120.0, gt=0)


class Oracle(_Part):
    """The reference model and the generator: any OpenAI-compatible endpoint. No key: the LLM paths say so."""

    base_url: str = ""
    api_key: SecretStr = SecretStr("")
    model: str = "gpt-5-mini"
    timeout_seconds: float = Field(30.0, gt=0, le=600)
    max_retries: int = Field(3, ge=0, le=10)


class Gateway(_Part):
    """HTTP and the live hub. Outside loopback, keys are demanded."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    api_keys: tuple[SecretStr, ...] = ()
    allowed_origins: tuple[str, ...] = ()


class Telemetry(_Part):
    """Logs, metrics and traces. An empty endpoint records no spans. `metrics_port` 0 takes any free port."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    otlp_endpoint: str = ""
    trace_ratio: float = Field(0.001, ge=0, le=1)
    metrics_port: int = Field(9464, ge=0, le=65_535)


class Settings(BaseSettings):
    """The tree. `data_dir` holds SQLite and the local broker's data."""

    model_config = SettingsConfigDict(
        env_prefix="LOOPAI_",
        env_nested_delimiter="__",
        env_file=".env",
        toml_file="loopai.toml",
        extra="forbid",
        frozen=True,
    )

    data_dir: Path = Path(".loopai")
    environment: str = "development"
    kafka: Kafka = Kafka()
    store: Store = Store()
    redis: Redis = Redis()
    executor: Executor = Executor()
    validator: Validator = Validator()
    controller: Controller = Controller()
    oracle: Oracle = Oracle()
    gateway: Gateway = Gateway()
    telemetry: Telemetry = Telemetry()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL: the one that was set, else SQLite in the data folder."""
        return self.store.url.get_secret_value() or f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'loopai.db'}"


OUTSIDE = frozenset({"LOOPAI_DATA", "LOOPAI_URL", "LOOPAI_API_KEY", "LOOPAI_CONFIG"})
"""Variables with our prefix that are not settings: the tests' data folder, and where the CLI finds the gateway."""


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process.

    Raises:
        ConfigurationError: one line that names the setting, what was given and what would do.
    """
    _read_secret_files()
    try:
        return Settings(**dict(overrides or {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise ConfigurationError(
            f"{where}: {first['msg']} (given: {_short(first.get('input'))}).",
            next_step=f"Set LOOPAI_{where.upper().replace('.', '__')} or correct loopai.toml.",
        ) from None


def unknown_variables() -> list[str]:
    """`LOOPAI_*` variables that no setting reads; the entry point warns of each."""
    tops = {name.upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in os.environ
        if name.startswith("LOOPAI_")
        and name not in OUTSIDE
        and name.removeprefix("LOOPAI_").split("__")[0].removesuffix("_FILE") not in tops
    )


def _read_secret_files() -> None:
    """`LOOPAI_ORACLE__API_KEY_FILE=/run/secrets/key` sets `LOOPAI_ORACLE__API_KEY` to the file's content."""
    for name, path in list(os.environ.items()):
        if name.startswith("LOOPAI_") and name.endswith("_FILE") and not name.endswith(("CA_FILE", "LABELS_FILE")):
            try:
                os.environ[name.removesuffix("_FILE")] = Path(path).read_text().strip()
            except OSError as error:
                raise ConfigurationError(f"{name}: cannot read {path}: {error.strerror}.") from None
            del os.environ[name]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
