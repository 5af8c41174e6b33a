"""The auto-scaler: how many slots a queue's readers should have, and the steps towards it."""
