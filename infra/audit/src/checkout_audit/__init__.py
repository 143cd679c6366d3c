"""The auditor: it reads, and says whether what it finds is consistent.

The only code that may look into all four databases.
"""
