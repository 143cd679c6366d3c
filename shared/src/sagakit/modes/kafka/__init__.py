"""Apache Kafka: a topic per channel, keyed by order, a consumer group per service."""

from sagakit.modes.kafka.transport import KafkaTransport as Transport

__all__ = ["Transport"]
