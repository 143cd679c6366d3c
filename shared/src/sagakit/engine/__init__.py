"""What runs a service: the batch, the dispatcher, the relay, provider calls, the watcher."""
