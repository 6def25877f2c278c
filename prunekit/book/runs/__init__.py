"""Executed notebooks: what a run is, where it is kept, and how many of them are run at once.

notebooks, reading
    A notebook as code, prose and parameters, and what a parameter may be; its file, read or refused.
tags
    What a notebook says about its execution, in the words of Jupyter Book.
keys
    The content address of a run.
reach, sources, cells
    What a notebook's code can execute of the library, and which files it names: read off the syntax trees.
beside
    The files beside a notebook that its front matter names, brought into the run's folder.
why
    What is in a key and what changed since the last run, in words.
store
    A folder in which a run appears whole or not at all.
seal
    The checksums of a run, by which a damaged one is recognised.
execution
    One run, in a worker process.
kernel, launcher, client
    Its kernel: what reaches it and what ends with it; the kernel's own program; what executes the cells.
failures
    How a run can end before its last cell, each way in its own sentence.
workers
    A `concurrent.futures.Executor` of spawned processes that die with their parent.
batch
    Many runs, resumed by asking again; the table of what they reported.
engines
    Who executes a batch: processes of this machine, or a Dask cluster.
cluster, at_worker
    Dask: the client's side and the worker's.
notes, progress
    Which batch is in flight in a store; what runs where, what is done, and how long the rest will take.
command, commands
    What the commands about runs have in common; `prunekit runs` itself.
"""
