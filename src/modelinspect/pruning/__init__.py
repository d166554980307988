"""The pruning stage: make original and pruned artifacts with TensorFlow, which runs in its own process.

Planning (jobs, schedules, selection of layers, methods, safety of a model file) is plain Python; only
`worker` imports TensorFlow.
"""
