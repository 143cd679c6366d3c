"""How throughput, latency and CPU depend on the orders that are stored, and how fast the auditor is."""
