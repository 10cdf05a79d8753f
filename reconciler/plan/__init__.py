"""Compare the desired state with the basis and decide the plan: pure functions and values.

Nothing here has an effect, prints, or knows where its inputs came from. The same values are shown, guarded, approved
and applied.
"""
