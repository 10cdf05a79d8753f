#!/usr/bin/env bash
# comment.sh PLAN.md: one comment on the pull request, written anew by each run.
# It is found by the hidden line that the Markdown begins with: fleet and environment.
set -euo pipefail

plan=${1:?the path of the Markdown plan}
: "${GITHUB_REPOSITORY:?}" "${PR_NUMBER:?}"

marker=$(head -n 1 "$plan")
if [[ $marker != "<!-- reconciler plan: "*" -->" ]]; then
  echo "::error::$plan does not begin with the reconciler's marker" >&2
  exit 1
fi

# A comment takes 65,536 characters. The addresses of thousands of agents are more: then the comment has what comes before
# the changes, and says where the whole plan is.
largest=65000
if (($(wc -m <"$plan") > largest)); then
  short=$(mktemp)
  sed '/^<details/,$d' "$plan" >"$short"
  page="${GITHUB_SERVER_URL:-https://github.com}/$GITHUB_REPOSITORY/actions/runs/${GITHUB_RUN_ID:-}"
  printf '**The changes, with every address, are on [the page of this job](%s)**: read them there before you approve.\n' "$page" >>"$short"
  plan=$short
fi

comments="repos/$GITHUB_REPOSITORY/issues/$PR_NUMBER/comments"
# shellcheck disable=SC2016  # $marker is jq's
ours='.[] | select(.user.login == "github-actions[bot]" and (.body | startswith($marker))) | .id'
ids=$(gh api --paginate "$comments?per_page=100" | jq --raw-output --arg marker "$marker" "$ours")
id=${ids%%$'\n'*}

if [[ -n $id ]]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" --field "body=@$plan"
else
  gh api --silent --method POST "$comments" --field "body=@$plan"
fi
