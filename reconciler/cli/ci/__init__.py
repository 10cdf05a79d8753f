"""The commands of `ci`: what a job says and asks on GitHub and GitLab. The group is `cli/commands/ci.py`."""
