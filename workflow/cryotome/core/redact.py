"""Tokens and passwords, removed from text before it is logged or printed."""

import os
import re

MIN_LENGTH = 6  # characters of a token; shorter ones may be words

# tokens of the hub, authorisation headers, addresses with a password or a signature
SECRET = re.compile(
    r"\bhf_\w{6,}|(?<=earer )[\w.~+/=-]{6,}|(?<=://)[^/\s@]+(?=@)"
    r"|(?<=[?&]token=)[^&\s\"']+|(?<=[?&]access_token=)[^&\s\"']+|(?<=[?&]key=)[^&\s\"']+"
    r"|(?<=ignature=)[^&\s\"']+|(?<=[?&]sig=)[^&\s\"']+"
    r"|(?<=asic )(?=[a-z+/]*[\dA-Z=])[\w+/=-]{6,}"
)
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_API_TOKEN", "HUGGINGFACE_TOKEN")


def without_secrets(text: str) -> str:
    """Return a text with `***` for each token and password.

    >>> without_secrets("Authorization: Bearer hf_abcdefgh, https://me:word@host/x?token=a1b2")
    'Authorization: Bearer ***, https://***@host/x?token=***'
    """
    for name in TOKENS:
        if len(os.environ.get(name, "")) >= MIN_LENGTH:
            text = text.replace(os.environ[name], "***")
    return SECRET.sub("***", text)
