#!/usr/bin/env bash
# Applies what was merged. Safe to run again: it goes on where the last one stopped.
set -euo pipefail

fleet=${FLEET_DIR:-fleet}
environment=${FLEET_ENV:-prod}
report=${APPLY_FILE:-apply.md}
summary=${GITHUB_STEP_SUMMARY:-/dev/null}

arguments=()
for limit in ${ALLOW:-}; do # "leave=5 hang_ups=12", typed by whoever starts the workflow by hand
  arguments+=(--allow "$limit")
done

code=0
arguments+=(--auto-approve --format markdown)
reconciler apply "$fleet" --env "$environment" "${arguments[@]}" >"$report" || code=$?
# The plan that was applied, and below it what came of every change.
cat "$report" >>"$summary"
case $code in
  1 | 3 | 4 | 5) printf '### Nothing was applied (exit code %s)\n\nThe log of this job says why.\n' "$code" >>"$summary" ;;
esac
case $code in
  0) ;;
  4) echo "::error::Another run holds the state. Run this job again." ;;
  5)
    echo "::error::A limit refused the apply; nothing was done. If it is meant, start the workflow by hand" \
      "with an allowance such as hang_ups=5."
    ;;
  6) echo "::error::Incomplete: the job's page lists what failed or was held. Run this job again to go on." ;;
  *) echo "::error::The apply failed (exit code $code); the log says why. Run this job again to go on." ;;
esac
exit "$code"
