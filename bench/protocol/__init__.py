"""What keeps a benchmark honest before and after compute is spent.

lint.py    findings about experiments, data, networks and their store; what stops a run
ledger.py  how often a test split was scored
"""
