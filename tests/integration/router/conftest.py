from tests.testkit.kafka import kafka_servers

__all__ = ["kafka_servers"]
