"""Checks EIG's audit log and its receipts offline; needs Python 3.11 and nothing else."""
