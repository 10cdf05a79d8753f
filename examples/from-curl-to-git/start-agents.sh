#!/usr/bin/env bash
# How this team has started its agents so far: by hand, keys and all. Prints what the service answers to each join.
set -euo pipefail
JOIN="$AGORA_AGENTS_API_BASE_URL/api/conversational-ai-agent/v2/projects/$AGORA_APP_ID/join"

# The greeter of the lobby.
curl --silent --show-error --fail-with-body --user "$AGORA_CUSTOMER_ID:$AGORA_CUSTOMER_SECRET" \
  --header "Content-Type: application/json" "$JOIN" --data '{
  "name": "lobby-greeter",
  "properties": {
    "channel": "lobby",
    "token": "made-up",
    "agent_rtc_uid": "1001",
    "remote_rtc_uids": ["*"],
    "idle_timeout": 0,
    "asr": {"vendor": "deepgram", "params": {"key": "the-deepgram-key", "language": "en-US"}},
    "llm": {
      "url": "https://api.openai.com/v1/chat/completions",
      "api_key": "the-openai-key",
      "system_messages": [{"role": "system", "content": "You greet visitors in the lobby.\nBe brief and friendly."}],
      "params": {"model": "gpt-4o-mini"},
      "greeting_message": "Welcome! How can I help you?"
    },
    "tts": {"vendor": "microsoft", "params": {"key": "the-azure-key", "region": "eastus", "voice_name": "en-US-AvaNeural"}}
  }
}'

# Whoever takes orders in the cafe.
curl --silent --show-error --fail-with-body --user "$AGORA_CUSTOMER_ID:$AGORA_CUSTOMER_SECRET" \
  --header "Content-Type: application/json" "$JOIN" --data '{
  "name": "barista",
  "properties": {
    "channel": "cafe",
    "token": "made-up",
    "agent_rtc_uid": "1002",
    "remote_rtc_uids": ["*"],
    "idle_timeout": 0,
    "asr": {"vendor": "deepgram", "params": {"key": "the-deepgram-key", "language": "en-US"}},
    "llm": {
      "url": "https://api.openai.com/v1/chat/completions",
      "api_key": "the-openai-key",
      "system_messages": [{"role": "system", "content": "You take coffee orders.\nRepeat each order once."}],
      "params": {"model": "gpt-4o-mini"},
      "greeting_message": "Hello {{guest}}, what would you like to drink?",
      "template_variables": {"guest": "there"}
    },
    "tts": {"vendor": "microsoft", "params": {"key": "the-azure-key", "region": "eastus", "voice_name": "en-US-GuyNeural"}}
  }
}'

# The night desk; its model is behind a gateway of our own.
curl --silent --show-error --fail-with-body --user "$AGORA_CUSTOMER_ID:$AGORA_CUSTOMER_SECRET" \
  --header "Content-Type: application/json" "$JOIN" --data @- <<'JSON'
{
  "name": "night desk",
  "properties": {
    "channel": "night-desk",
    "token": "made-up",
    "agent_rtc_uid": "1003",
    "remote_rtc_uids": ["*"],
    "idle_timeout": 0,
    "asr": {"vendor": "deepgram", "params": {"key": "the-deepgram-key", "language": "en-US"}},
    "llm": {
      "url": "https://llm.example.com/v1/chat/completions",
      "headers": {"Authorization": "Bearer the-gateway-key", "X-Team": "night"},
      "system_messages": [{"role": "system", "content": "It is night. Say that the desk opens at 06:30.\nTake a message for the morning."}],
      "params": {"model": "night-1"},
      "greeting_message": "Good evening."
    },
    "tts": {"vendor": "microsoft", "params": {"key": "the-azure-key", "region": "eastus", "voice_name": "en-US-AvaNeural"}}
  }
}
JSON
