#!/usr/bin/env bash
# The plan of a pull request: to the job's page, and to $PLAN_FILE for the comment.
set -euo pipefail

fleet=${FLEET_DIR:-fleet}
environment=${FLEET_ENV:-prod}
plan=${PLAN_FILE:-plan.md}
summary=${GITHUB_STEP_SUMMARY:-/dev/null}

# Offline and without credentials: annotates the lines of the pull request.
reconciler validate "$fleet" --env "$environment" --format github

# GitHub gives no secrets to forks and to Dependabot. That is as it should be, and no failure.
if [[ ${UNTRUSTED:-false} == true && -z ${AGORA_CUSTOMER_SECRET:-} ]]; then
  {
    echo "### No plan for this pull request"
    echo
    echo "The files are valid. A plan looks at what runs, and a pull request from a fork has no credentials"
    echo "for that. A maintainer sees the plan after pushing the branch to this repository."
  } | tee "$plan" >>"$summary"
  echo "no credentials here, so no plan; the files are valid"
  exit 0
fi

code=0
reconciler plan "$fleet" --env "$environment" --format markdown --detailed-exitcode >"$plan" || code=$?
case $code in
  0 | 2) cat "$plan" >>"$summary" ;;
  *)
    printf '### The plan failed\n\nThe log of this job says why.\n' >>"$summary"
    exit 1
    ;;
esac
