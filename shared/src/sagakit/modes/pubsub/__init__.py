"""Google Cloud Pub/Sub, or its emulator: a topic per channel, a subscription per listener. See README.md."""

from sagakit.modes.pubsub.transport import PubSubTransport as Transport

__all__ = ["Transport"]
