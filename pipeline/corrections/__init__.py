"""The review layer upon a run's output: judgements of people, and the masks that they have corrected."""
