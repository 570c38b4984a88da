"""Settings of broadcast, read from `SWITCHYARD_BROADCAST_…`."""

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict
from yarl import URL

from libs.settings import Group, KafkaSettings, ServiceSettings, ServingSettings, TelemetrySettings

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset({"content-type", "content-length", "content-encoding", "transfer-encoding", "host", "traceparent"})


class WebhookSettings(Group):
    """One destination that takes OTLP/JSON."""

    url: SecretStr = Field(description="http or https URL; may hold a token")
    method: Literal["POST", "PUT"] = Field(default="POST", description="POST or PUT")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="JSON object of headers, for credentials")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr) -> SecretStr:
        try:
            url = URL(value.get_secret_value())
        except ValueError:
            url = URL()  # the parser's words would show the URL
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError("must be an http or https URL")
        return value

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in value.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"{name!r} is not a header that can be set")
            if not secret.get_secret_value().isprintable():
                raise ValueError(f"the value of {name} has characters that no header may have")
        return value


class DeliverySettings(ServiceSettings):
    """Where traces go and how patiently: the part that holds in every shape."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_BROADCAST_")

    webhook: WebhookSettings | None = Field(default=None, description="the destination; none: records are passed over")
    service_name: str = Field(
        default="switchyard", min_length=1, max_length=256, description="service.name of the spans"
    )
    request_timeout_s: float = Field(default=10.0, gt=0, le=60, description="seconds one delivery request may take")
    attempts: int = Field(default=5, ge=1, le=20, description="tries of one delivery request")
    first_delay_s: float = Field(
        default=2.0, gt=0, le=60, description="seconds before the second try; each wait doubles"
    )
    max_delay_s: float = Field(
        default=30.0, gt=0, le=120, description="seconds at most between tries, Retry-After included"
    )
    give_up_after_s: float = Field(default=60.0, gt=0, le=240, description="seconds after which a batch is given up")


class Settings(DeliverySettings):
    """One process of this service."""

    kafka: KafkaSettings
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
