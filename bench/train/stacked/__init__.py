"""Runs that differ only in numbers, trained as one program.

which.py      which runs may be stacked: an allow-list; needs no torch
network.py    several networks of one form as one
layers.py     what each layer of them computes at once
learner.py    the learner that the loop drives
optimizer.py  one optimizer for all runs, its state taken apart into runs
trial.py      a few steps both ways: whether it pays, and whether every bit is the same
fit.py        the loop over such a program
"""
