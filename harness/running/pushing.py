"""An exported folder sent to the Hugging Face hub; nothing else here ever writes to it."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import UserError

NAME = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}")


def check_push(name: str) -> None:
    """Raise UserError for a name that no repository has, and where no token is set; asks nobody."""
    from huggingface_hub import get_token

    if NAME.fullmatch(name) is None:
        raise UserError(
            f"{name!r} is no repository's name",
            where="--push",
            remedy="give owner/name, of letters, digits, - _ and .",
        )
    if get_token() is None:
        raise UserError(
            "no token for the hub is set",
            where="--push",
            remedy="give one that may write by HF_TOKEN, or log in by `hf auth login`",
        )


def push(folder: Path, name: str, *, public: bool) -> str:
    """Make the repository where it is not there, private unless it is to be `public`, and send all files.

    Gives the commit's address. Raises UserError with what the hub or the network says; what was exported
    stays where it is.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        made = api.create_repo(name, private=not public, exist_ok=True)
        sent = api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, commit_message=f"Export by orpo-harness: {folder.name}"
        )
    except Exception as error:  # Versions of the library raise what their HTTP client does.
        raise UserError(
            f"the hub did not take it ({(str(error).strip().splitlines() or [type(error).__name__])[0]})",
            where=f"--push {name} ({api.endpoint})",
            remedy=f"see that the token may write there; the export lies in {folder}, "
            f"and `hf upload {name} {folder}` sends it again",
        ) from None
    return str(sent.commit_url)
