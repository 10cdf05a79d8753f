#!/usr/bin/env bash
# What somebody else did: a join, by hand. Prints the service's answer, agent_id included.
set -euo pipefail

: "${AGORA_AGENTS_API_BASE_URL:?}" "${AGORA_APP_ID:?}" "${AGORA_CUSTOMER_ID:?}" "${AGORA_CUSTOMER_SECRET:?}"

curl --silent --show-error --fail-with-body \
  --user "$AGORA_CUSTOMER_ID:$AGORA_CUSTOMER_SECRET" \
  --header "Content-Type: application/json" \
  --data @- \
  "$AGORA_AGENTS_API_BASE_URL/api/conversational-ai-agent/v2/projects/$AGORA_APP_ID/join" <<JSON
{
  "name": "friday-experiment",
  "properties": {
    "channel": "lobby",
    "token": "${RTC_TOKEN:-made-up}",
    "agent_rtc_uid": "1001",
    "remote_rtc_uids": ["*"],
    "idle_timeout": 0,
    "asr": {"vendor": "ares", "language": "en-US"},
    "llm": {
      "url": "https://api.openai.com/v1/chat/completions",
      "api_key": "their-key",
      "system_messages": [{"role": "system", "content": "You greet visitors. This is an experiment."}],
      "params": {"model": "gpt-4o-mini"}
    },
    "tts": {
      "vendor": "microsoft",
      "params": {"key": "their-key", "region": "eastus", "voice_name": "en-US-AvaNeural"}
    }
  }
}
JSON
