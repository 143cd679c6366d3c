"""Amazon SNS and SQS: events fan out from one topic, each service consumes one queue. See README.md."""
