"""The servers that a stack runs natively: databases, brokers, coordinators."""
