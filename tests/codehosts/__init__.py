"""Stand-ins for the APIs of GitHub and GitLab, and the commands of `ci` on them."""
