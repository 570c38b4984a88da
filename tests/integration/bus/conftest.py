from tests.testkit.kafka import kafka_servers
from tests.testkit.postgres import database_dsn, postgres_dsn, postgres_server

__all__ = ["database_dsn", "kafka_servers", "postgres_dsn", "postgres_server"]
