"""What an experiment and a sweep are: typed, validated, hashable. Imports nothing from bench's other rooms.

experiment   one run's settings, resolved
science      which of them decide its numbers; run_key; corrections: what was wrong at first, for which runs
dataset, pixels, model, training, transfer   its parts
idle         settings that change nothing because of another one; equal: those that are another value by its name
own, offered own parts in an experiment; the kinds there are
part         how a dataclass is validated, and built of plain data with errors that teach
sweep, claim a question: axes, seeds, table, figures; its claims; sweep_file: that they fit each other
metric       what is measured: names, ranges, which way is better
label        one spelling for a value; names      names in files and on terminals
where        which settings there are; reference  each with its type, range and meaning; examples: one of each kind
errors       errors that teach; secrets    what no message or page may show
"""
