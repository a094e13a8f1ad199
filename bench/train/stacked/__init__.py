"""Runs that differ only in numbers, trained as one program.

which.py    which runs may be stacked: an allow-list; needs no torch
network.py  several networks of one form as one
learner.py  the learner that the loop drives
slots.py    an optimizer's state, taken apart into runs
fit.py      the loop over such a program, and whether it pays
"""
