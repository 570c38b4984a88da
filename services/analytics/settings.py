"""Settings of analytics, read from `SWITCHYARD_ANALYTICS_…`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.settings import KafkaSettings, PostgresSettings, ServiceSettings, ServingSettings, TelemetrySettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_ANALYTICS_")

    postgres: PostgresSettings
    kafka: KafkaSettings
    serving: ServingSettings = Field(default_factory=ServingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
