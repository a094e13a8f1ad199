"""Records, provenance and the MLflow store.

address       addresses of stores: the default one, and the form that may be shown
artifacts     files of runs: where a store keeps them
connection    opening a store, its experiments
attempt       the run of an attempt at a point: what an interrupted one left, or a new one
delivery      a sealed outcome from the spool into its run, whole and once
importing     runs of another store into this one
index         reading a database directly, without importing MLflow
lease         who runs which point
locks         locks between processes, waited for so long and no longer
outcome       what every outcome of a run has: its Record, and its settings as a file
owner         a launch that holds leases, and whether it still lives
pages         how MLflow's pages show an experiment's runs
pieces        values longer than MLflow takes
provenance    code, packages, hardware
record        Record: one run as one flat row, and records.csv
rows          a run as a Record, and what makes one unreadable
runs          runs of a store: tags, parameters, metrics, files
spool         outcomes on disk, until the store has them
starts        weights of earlier runs, copied before the runs that start from them
store         Store: runs and their Records
sweep_runs    a sweep's own runs: its leases, and the parent of its runs
unavailable   a store that does not answer, told apart from a request that it refuses
"""
