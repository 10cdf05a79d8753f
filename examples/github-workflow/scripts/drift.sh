#!/usr/bin/env bash
# What changed behind our back. Writes `code` (0: no drift, 2: drift) for the next job; anything else fails.
set -euo pipefail

fleet=${FLEET_DIR:-fleet}
environment=${FLEET_ENV:-prod}
report=${DRIFT_FILE:-drift.md}

code=0
reconciler drift "$fleet" --env "$environment" --format markdown >"$report" || code=$?
case $code in
  0) echo "no drift" ;;
  2) echo "::warning::Something changed behind the repository's back; see the job's page." ;;
  *)
    echo "::error::Whether there is drift cannot be told (exit code $code); the log says why."
    exit 1
    ;;
esac
cat "$report" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
echo "code=$code" >>"${GITHUB_OUTPUT:-/dev/null}"
