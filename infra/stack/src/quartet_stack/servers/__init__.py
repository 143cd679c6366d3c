"""The servers that a native stack runs: databases, brokers, Temporal, Toxiproxy; how each is fetched and started."""
