#!/usr/bin/env bash
# A fleet through HOURS hours on a simulator whose clock runs 3600 times as fast: a second is an hour.
# Every round is what cron does: one apply. Rounds in which nothing was due are not printed. Exit code 6 is no failure:
# something is held, here the second rotation, because one run rotates one agent in ten; the next run goes on.
set -euo pipefail

hours="${HOURS:-75}"
here="$(mktemp -d)"
export AGORA_APP_ID=0123456789abcdef0123456789abcdef AGORA_APP_CERTIFICATE=fedcba9876543210fedcba9876543210
export AGORA_CUSTOMER_ID=customer AGORA_CUSTOMER_SECRET=secret OPENAI_API_KEY=key AZURE_TTS_KEY=key

reconciler simulator --speed 3600 > "$here/simulator" &
simulator=$!
trap 'kill "$simulator"; rm -rf "$here"' EXIT
until grep --quiet --no-messages listening "$here/simulator"; do sleep 0.1; done
AGORA_AGENTS_API_BASE_URL="$(sed -n 's/^listening on //p' "$here/simulator")"
export AGORA_AGENTS_API_BASE_URL

SECONDS=0
while ((SECONDS < hours)); do
  hour=$SECONDS
  code=0
  reconciler apply -e prod --auto-approve --quiet > "$here/said" 2> "$here/problems" || code=$?
  if ((code != 0 && code != 6)); then
    cat "$here/said" "$here/problems" >&2
    exit "$code"
  fi
  tail -n 1 "$here/said" | sed -n "s/^Apply [a-z]*: \(.*[1-9].*\)/hour $hour: \1/p"
  sleep 0.5
done
reconciler status -e prod
