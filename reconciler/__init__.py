"""Declare fleets of Agora Conversational AI voice agents in Git; plan, apply and keep them that way."""

__version__ = "0.1.0"
