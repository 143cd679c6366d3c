"""The auditor: it reads the databases of all services, and says whether they are consistent.

No other code may read two databases. It never writes.
"""
