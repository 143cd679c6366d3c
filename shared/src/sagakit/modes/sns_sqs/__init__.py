"""Amazon SNS and SQS: events fan out from one topic, each service consumes one queue. See README.md."""

from sagakit.modes.sns_sqs.transport import SnsSqsTransport as Transport

__all__ = ["Transport"]
