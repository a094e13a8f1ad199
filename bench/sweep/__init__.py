"""From a question to finished runs: sweep file, plan, launch.

file            sweep files, and sweeps stated on the command line
plan            every point of a sweep with its run key
changed         which points run again because own code changed
estimate        time and disk of a plan, by earlier runs
failure         the outcome of a run that could not seal one itself
completed       what is done already, by the store and by committed records
launch          runs points in warm workers of this machine
cluster         runs them in jobs of Hydra's launchers
engine          starts these, and tells which was killed
job             one such job
watcher         what jobs elsewhere bring to an end
lease_holder    takes points, delivers their outcomes, gives them up
dispatcher      which point goes to which worker, and what comes back
pool            the worker processes
worker          what a worker process does
shares          which points are trained as one program, and how many at once
machine         cores and GPUs, and how workers share them
signals         Ctrl-C and SIGTERM
launch_result   what became of a launch
tuning          runs that choose, and the judged ones that follow from the choice
view            what a sweep shows while it runs
statement       what a sweep asks, for whoever gets the store
parent_run      the sweep's own run in MLflow: question, table, figure
rerun           experiments once more, into a scratch place
"""

from bench import offer

offer(__name__)  # bench.sweep("batchnorm")
