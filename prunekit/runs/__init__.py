"""Executed notebooks: what a run is, where it is kept, and how many of them are run at once.

notebooks
    A notebook as code, prose and parameters; what a parameter may be.
keys
    The content address of a run.
store
    A folder in which a run appears whole or not at all.
seal
    The checksums of a run, by which a damaged one is told.
execution
    One run, in a worker process.
workers
    A `concurrent.futures.Executor` of spawned processes that die with their parent.
batch
    Many runs, resumed by asking again; the table of what they reported.
"""
