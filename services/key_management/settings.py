"""Settings of key_management, read from `SWITCHYARD_KEY_MANAGEMENT_…`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.settings import PostgresSettings, ServiceSettings, ServingSettings, TelemetrySettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_KEY_MANAGEMENT_")

    postgres: PostgresSettings
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
