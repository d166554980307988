"""Budgets of models: the file that sets them, the lock that growth is measured from, the models they name."""
