"""Desired state x basis -> plan: pure decisions, as values.

Nothing here has an effect, prints, or knows where its inputs came from. What is decided here is what is shown,
guarded, approved and applied.
"""
