"""Settings of billing_ledger, read from `SWITCHYARD_BILLING_LEDGER_…`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.settings import KafkaSettings, PostgresSettings, ServiceSettings, ServingSettings, TelemetrySettings


class LedgerSettings(ServiceSettings):
    """The part that holds in every shape."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_BILLING_LEDGER_")

    hold_max_age_s: float = Field(
        default=86_400.0, ge=1_800.0, description="seconds after which a hold that nothing settled is given back"
    )


class Settings(LedgerSettings):
    """One process of this service."""

    postgres: PostgresSettings
    kafka: KafkaSettings
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
