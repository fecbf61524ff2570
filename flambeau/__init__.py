"""Flambeau: the PyTorch API in readable Python, compiled."""
