#!/usr/bin/env bash
# Keeps standing agents alive: renews tokens, rotates before 72 hours, rejoins what ended. Nothing else.
set -euo pipefail

fleet=${FLEET_DIR:-fleet}
environment=${FLEET_ENV:-prod}
report=${KEEPALIVE_FILE:-keepalive.json}
summary=${GITHUB_STEP_SUMMARY:-/dev/null}

code=0
arguments=(--only "renew,rotate,join" --auto-approve --format json)
reconciler apply "$fleet" --env "$environment" "${arguments[@]}" >"$report" || code=$?

# One line a step, the last of them the sum.
sum=$(tail -n 1 "$report" | jq --compact-output 'select(.type == "apply_finished") | .summary' || true)
sum=${sum:-null}
printf '### Keep-alive\n\nExit code %s: %s\n' "$code" "$sum" >>"$summary"

only_held='. != null and .failed + .skipped + .unknown == 0'
if [[ $code == 6 ]] && jq --exit-status "$only_held" <<<"$sum" >/dev/null; then
  # Updates, replacements or leaves wait for an apply, or for a person: not for this job.
  echo "::warning::Everything is kept alive. Other changes wait: was the last apply cancelled," \
    "or is an agent protected?"
  exit 0
fi
if [[ $code != 0 ]]; then
  echo "::error::Keep-alive is incomplete or failed (exit code $code); the log says why." \
    "The next run tries again."
fi
exit "$code"
