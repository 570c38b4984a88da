"""Settings of the router, read from `SWITCHYARD_ROUTER_…`."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.money import NanoUsdPerMillion, parse_usd
from libs.settings import KafkaSettings, ServiceSettings, ServingSettings, TelemetrySettings
from services.router.core.offer import Offer, UpstreamTerms

_Names = Annotated[tuple[str, ...], NoDecode]


def _split(value: object) -> object:
    """A list from an environment variable: parts between commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class RoutingSettings(BaseModel):
    """What is on offer and how long an attempt may take: the part that holds in every shape."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offer: Offer = Field(
        default=Offer.SIMULATOR, description="what makes endpoints callable: simulator, credentials, upstream"
    )
    providers: _Names = Field(
        default=(),
        description="with offer=credentials: slugs of the providers, separated by commas; slug@region where its host is in one, "
        "slug~format where its credential does not open the door of a format",
    )
    overlay_dir: Path | None = Field(default=None, description="folder of JSON files that change the catalogue")
    overlay_interval_s: float = Field(default=2.0, gt=0, le=3600, description="seconds between looks at that folder")
    upstream_interval_s: float = Field(
        default=30.0, ge=1, le=3600, description="seconds between looks at the upstream's models"
    )
    upstream_prompt_usd_per_mtok: str = Field(
        default="0", description="price of the upstream's own models, decimal USD"
    )
    upstream_completion_usd_per_mtok: str = Field(
        default="0", description="price of the upstream's own models, decimal USD"
    )
    upstream_context_length: int = Field(
        default=131_072, ge=1, le=2**31 - 1, description="tokens the upstream's own models take"
    )

    connect_s: float = Field(default=5.0, gt=0, le=60, description="seconds an attempt may take to connect")
    first_event_s: float = Field(default=120.0, gt=0, le=3600, description="seconds until an attempt's first event")
    idle_s: float = Field(default=60.0, gt=0, le=3600, description="seconds between two events of an attempt")
    total_s: float = Field(default=900.0, gt=0, le=86_400, description="seconds an attempt may take in all")

    @field_validator("providers", mode="before")
    @classmethod
    def _split_providers(cls, value: object) -> object:
        return _split(value)

    @field_validator("upstream_prompt_usd_per_mtok", "upstream_completion_usd_per_mtok")
    @classmethod
    def _check_price(cls, value: str) -> str:
        if parse_usd(value) < 0:
            raise ValueError("a price is never negative")
        return value

    @model_validator(mode="after")
    def _check_offer(self) -> Self:
        if (self.offer is Offer.CREDENTIALS) != bool(self.providers):
            raise ValueError("`providers` must be set with offer=credentials, and only then")
        return self

    @property
    def provider_slugs(self) -> tuple[str, ...]:
        return tuple(one.partition("@")[0].partition("~")[0] for one in self.providers)

    @property
    def provider_regions(self) -> dict[str, str]:
        """By slug, of those that say one."""
        parts = [one.partition("@") for one in self.providers]
        return {named.partition("~")[0]: region for named, _, region in parts if region}

    @property
    def shut_formats(self) -> dict[str, frozenset[str]]:
        """By slug, of those that say some."""
        parts = [one.partition("@")[0].split("~") for one in self.providers]
        return {slug: frozenset(formats) for slug, *formats in parts if formats}

    @property
    def upstream_terms(self) -> UpstreamTerms:
        return UpstreamTerms(
            prompt=NanoUsdPerMillion(parse_usd(self.upstream_prompt_usd_per_mtok)),
            completion=NanoUsdPerMillion(parse_usd(self.upstream_completion_usd_per_mtok)),
            context_length=self.upstream_context_length,
        )


class OverlaySettings(ServiceSettings):
    """What the catalogue alone needs: for checks of it, and for shapes that set the rest themselves."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_ROUTER_", extra="ignore")

    overlay_dir: Path | None = Field(default=None, description="folder of JSON files that change the catalogue")


class OwnRoutingSettings(RoutingSettings, ServiceSettings):
    """The part that holds in every shape, read from the environment."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_ROUTER_")


class Settings(RoutingSettings, ServiceSettings):
    """One process of this service."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_ROUTER_")

    kafka: KafkaSettings
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    adapter_targets: _Names = Field(default=(), description="with offer=upstream: host:port list of provider_adapter")

    @field_validator("adapter_targets", mode="before")
    @classmethod
    def _split_targets(cls, value: object) -> object:
        return _split(value)

    @model_validator(mode="after")
    def _check_adapter(self) -> Self:
        if self.offer is Offer.UPSTREAM and not self.adapter_targets:
            raise ValueError("`adapter_targets` must be set with offer=upstream")
        return self
