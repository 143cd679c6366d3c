"""Apache Kafka: a topic per channel, keyed by order, a consumer group per service."""
