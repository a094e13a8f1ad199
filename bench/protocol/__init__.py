"""What keeps a benchmark honest before and after compute is spent.

lint.py      findings about experiments, data, networks and their store; what stops a run
idle.py      settings that change nothing for the images at hand
ledger.py    how often a test split was scored
register.py  what is claimed and which seeds are planned, written down at launch
similar.py   images that look alike to a frozen backbone, for `bench data --features`
"""
