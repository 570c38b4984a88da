"""Settings: how services read their environment, and the groups they share.

Owns loading, unknown-name errors and masked printing. Does not own any service's own fields.
Invariant: read once at start, frozen afterwards; a name with our prefix that nobody reads is an error.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NestedSecretsSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

Port = Annotated[int, Field(ge=0, le=65535)]
_OURS: Final = "SWITCHYARD_"
_SECRETS_DIR: Final = "SWITCHYARD_SECRETS_DIR"


class Group(BaseModel):
    """A group of settings that several services share."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PostgresSettings(Group):
    """Where a service keeps its tables."""

    dsn: SecretStr = Field(description="postgresql:// URL; may hold a password")
    min_connections: int = Field(default=1, ge=0, le=1000, description="connections kept open")
    max_connections: int = Field(default=8, ge=1, le=1000, description="connections at most, per process")


class KafkaSettings(Group):
    """Where the event log is."""

    bootstrap_servers: str = Field(description="host:port list, separated by commas")
    replication_factor: int = Field(default=1, ge=1, le=10, description="copies of topics that we create")


class ServingSettings(Group):
    """How a service is reached."""

    rpc_address: str = Field(default="127.0.0.1:0", description="host:port of the gRPC server")
    ops_host: str = Field(default="127.0.0.1", description="host of /healthz, /readyz and /metrics")
    ops_port: Port = Field(default=0, description="port of /healthz, /readyz and /metrics; 0 is a free one")
    drain_s: float = Field(default=10.0, ge=0, le=900, description="seconds that running calls get at shutdown")


class TelemetrySettings(Group):
    """Logs and traces."""

    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged"
    )
    otlp_endpoint: str | None = Field(
        default=None, description="base URL of an OTLP/HTTP receiver; none: no spans are made"
    )
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="share of new traces that are recorded")


class ServiceSettings(BaseSettings):
    """Base of every service's settings; subclasses set `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_nested_delimiter="__", env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (pydantic's signature)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the same)
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Mounted files are named as variables are, groups included: pydantic's own source knows no groups."""
        return init_settings, env_settings, NestedSecretsSettingsSource(file_secret_settings)


S = TypeVar("S", bound=ServiceSettings)


class SettingsError(Exception):
    """The environment does not make valid settings; the message names each field."""


def load(settings_class: type[S], overrides: Mapping[str, Any] | None = None) -> S:
    """Reads settings from the environment and from files in `SWITCHYARD_SECRETS_DIR`, if that is set.

    Args:
        settings_class: what to read.
        overrides: values that win over the environment, nested as the fields are.

    Raises:
        SettingsError: a value is missing, out of bounds, or a name with the prefix is not known.
    """
    secrets = os.environ.get(_SECRETS_DIR)
    if settings_class.model_config.get("extra") != "ignore":
        unknown = unknown_names(settings_class, [*os.environ, *_file_names(secrets)])
        if unknown:
            raise SettingsError(f"unknown settings: {', '.join(unknown)}")
    values = {**(overrides or {}), **({"_secrets_dir": secrets} if secrets else {})}
    try:
        return settings_class(**values)
    except ValidationError as error:
        problems = [f"{_name(settings_class, problem['loc'])}: {problem['msg']}" for problem in error.errors()]
        raise SettingsError("; ".join(problems)) from None
    except SourceError as error:
        raise SettingsError(str(error)) from None


def _file_names(folder: str | None) -> list[str]:
    try:
        return [path.name for path in Path(folder).iterdir()] if folder else []
    except OSError as error:
        raise SettingsError(f"{_SECRETS_DIR}: {error}") from None


def load_or_exit(settings_class: type[S], *, beside: Sequence[type[ServiceSettings]] = ()) -> S:
    """For `__main__`: loads, or prints what is wrong and exits with 2; `--check-config` prints them and exits with 0.

    Args:
        settings_class: what to read.
        beside: what others that start with us read; whatever has our prefix and belongs to none of all is an error.
    """
    try:
        if beside:
            refuse_strangers([settings_class, *beside])
        settings = load(settings_class)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    if "--check-config" in sys.argv:
        sys.stdout.write(masked(settings) + "\n")
        sys.exit(0)
    return settings


def masked(settings: ServiceSettings) -> str:
    """The settings as JSON with secrets masked."""
    return json.dumps(settings.model_dump(mode="json"), indent=2)


def unknown_names(settings_class: type[ServiceSettings], names: Iterable[str]) -> list[str]:
    """Names of variables or files that carry the class's prefix but belong to no field."""
    prefix = settings_class.model_config.get("env_prefix", "").upper()
    known = _known_names(settings_class)
    return sorted(name for name in names if name.upper().startswith(prefix) and name.upper() not in known)


def refuse_strangers(settings_classes: Iterable[type[ServiceSettings]]) -> None:
    """Checks every variable and mounted file of ours, whoever is to read it.

    Raises:
        SettingsError: none of these classes reads some name that starts with `SWITCHYARD_`.
    """
    known = {_SECRETS_DIR}.union(*(_known_names(one) for one in settings_classes))
    names = [*os.environ, *_file_names(os.environ.get(_SECRETS_DIR))]
    strangers = sorted(name for name in names if name.upper().startswith(_OURS) and name.upper() not in known)
    if strangers:
        raise SettingsError(f"unknown settings: {', '.join(strangers)}")


def _known_names(settings_class: type[ServiceSettings]) -> set[str]:
    prefix = settings_class.model_config.get("env_prefix", "").upper()
    return {name.upper() for name in _field_names(settings_class.model_fields, prefix)}


def _field_names(fields: Mapping[str, FieldInfo], prefix: str) -> list[str]:
    names: list[str] = []
    for name, field in fields.items():
        alias = field.validation_alias
        if alias is None:
            names.append(prefix + name)
        else:
            names.extend(str(one) for one in (alias.choices if isinstance(alias, AliasChoices) else (alias,)))
        group = _group_of(field.annotation)
        if group is not None:
            names.extend(_field_names(group.model_fields, f"{prefix}{name}__"))
    return names


def _group_of(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _name(settings_class: type[ServiceSettings], location: tuple[int | str, ...]) -> str:
    """How the one who set it calls it; a field with an alias is located by that."""
    own = not location or location[0] in settings_class.model_fields
    prefix = settings_class.model_config.get("env_prefix", "") if own else ""
    return prefix + "__".join(str(part) for part in location).upper()
