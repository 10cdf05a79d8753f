"""The code behind the commands of `ci`: comments, issues and reviews on GitHub and GitLab."""
