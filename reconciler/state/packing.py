"""Bytes made small for the disk: compressed with the words that most rows and blobs share.

An agent's row is short and says little that others do not say; alone it would hardly get smaller.
"""

from __future__ import annotations

import zlib

# A row or a blob unpacked: no body that a fleet's files may hold comes near.
LARGEST = 64 * 1024 * 1024
# What rows and blobs are likely to say, the likeliest last: a preset dictionary for zlib. It belongs to the format.
_WORDS = (
    b'"pipeline_id":"preset":"protect":true"unsent":true"declared":true"failures":"retry_at":"attempt":'
    b'"unknown_since":"operation":"join"update"leave"created_at":"idle"rtc"custom"enable_string_uid":"vad":'
    b'{"threshold":"mllm":{"avatar":{"sal":{"filler_words":{"mcp_servers":"tools":"headers":"style":"openai"'
    b'"region":"eastus"voice_name":"en-US-AvaNeural"speed":"volume":"voice_id":"model_id":"language":"en-US"'
    b'"vendor":"microsoft"azure"elevenlabs"deepgram"ares"params":{"key":"ref+env://AZURE_TTS_KEY"'
    b'"audio_scenario":"default","data_channel":"rtm","enable_error_message":true,"enable_metrics":true,'
    b'"silence_config":{"action":"speak","content":"timeout_ms":10000}}'
    b'{"api_key":"ref+env://OPENAI_API_KEY","failure_message":"Sorry, greeting_configs":{"delay_ms":'
    b',"interruptable":true,"mode":"single_first"},"greeting_message":"Welcome to Hello","input_modalities":["text"],'
    b'"max_history":32,"output_modalities":["text","audio"],"params":{"frequency_penalty":0.1,"max_tokens":1024,'
    b'"model":"gpt-4o-mini","temperature":0.7,"top_p":0.9},"system_messages":[{"content":{"$blob":"role":"system"}],'
    b'"template_variables":{"url":"https://api.openai.com/v1/chat/completions","vendor":"custom"}'
    b'{"address":"concierge","agent_id":"name":".-.","generation":1,"uid":"10","body":{"properties":{'
    b'"agent_rtc_uid":"1001","remote_rtc_uids":{"$blob":"},"idle_timeout":0,"advanced_features":{"$blob":"'
    b'},"asr":{"$blob":"},"tts":{"$blob":"},"llm":{"$blob":"},"turn_detection":{"$blob":"},"interruption":{"$blob":"'
    b'},"labels":{"$blob":"},"parameters":{"$blob":"}}},"started_at":17.0,"token_expires_at":17.0,"secrets":{"ref+env://'
)


def pack(data: bytes) -> bytes:
    """Bytes as they are stored."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=_WORDS)
    return packer.compress(data) + packer.flush()


def unpack(packed: bytes) -> bytes:
    """The bytes that were packed; ValueError for what never was."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS, _WORDS)
    try:
        data = unpacker.decompress(packed, LARGEST)
    except zlib.error as problem:
        raise ValueError("cannot be unpacked") from problem
    if unpacker.unconsumed_tail:
        raise ValueError("unpacks to more than any run of ours writes")
    return data
