#!/usr/bin/env bash
# issue.sh CODE DRIFT.md: drift (2) opens an issue or writes the open one anew; no drift (0) closes it.
set -euo pipefail

code=${1:?the exit code of drift}
report=${2:?the path of the Markdown}
: "${GITHUB_REPOSITORY:?}"

marker=$(head -n 1 "$report")
if [[ $marker != "<!-- reconciler drift: "*" -->" ]]; then
  echo "::error::$report does not begin with the reconciler's marker" >&2
  exit 1
fi

issues="repos/$GITHUB_REPOSITORY/issues"
bot='.user.login == "github-actions[bot]"'
ours=".[] | select($bot and ((.body // \"\") | startswith(\$marker))) | .number"
numbers=$(gh api --paginate "$issues?state=open&per_page=100" | jq --raw-output --arg marker "$marker" "$ours")
number=${numbers%%$'\n'*}

if [[ $code == 2 && -n $number ]]; then
  gh api --silent --method PATCH "$issues/$number" --field "body=@$report"
elif [[ $code == 2 ]]; then
  gh api --silent --method POST "$issues" --field "title=Voice agents have drifted" --field "body=@$report"
elif [[ -n $number ]]; then
  gh api --silent --method PATCH "$issues/$number" --field "body=@$report" --field state=closed
fi
