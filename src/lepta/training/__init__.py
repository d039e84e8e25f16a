"""The training loop of networks, and the learners that use it."""
