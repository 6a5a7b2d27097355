"""What is published for annotators: repositories with a transformers model, and what an address says of a file's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..annotators.networks import Network

FILE_OF_A_REPOSITORY = re.compile(
    r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)"
)
WEIGHTS = "model.safetensors"
FILES = ("config.json", "preprocessor_config.json", WEIGHTS)


@dataclass(frozen=True)
class Published:
    """A repository of Hugging Face that holds a model for a task.

    `size` is about how many bytes it has, `sha256` the hash of its model.safetensors where that is known.
    """

    repo: str
    size: int
    licence: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        return self.repo.split("/")[1]

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repo}"


OFFERED = {
    # the hash is that of revision 5426e4f, as three public projects pin it
    "depth": Published(
        "depth-anything/Depth-Anything-V2-Small-hf",
        99_000_000,
        "Apache-2.0",
        sha256="3152477ce0d8d6978d76b995120de97cb5b928701fd0f817769f59e249a16b70",
    ),
    "segmentation": Published("openmmlab/upernet-convnext-tiny", 240_000_000, "MIT"),
    # the hash is that of revision a93ac0c, as two public projects pin it
    "pose": Published(
        "usyd-community/vitpose-base-simple",
        344_000_000,
        "Apache-2.0",
        sha256="85375373893ddd3641f3912821073e53f5435f9e966e1dca59d004454bfe4fdf",
    ),
    "people": Published("PekingU/rtdetr_r50vd_coco_o365", 172_000_000, "Apache-2.0"),
}
"""What a task's list offers first; the licence of its weights allows any use."""


def repository(network: Network) -> dict[str, str] | None:
    """The repo, revision and file of a network on Hugging Face; None for one from elsewhere."""
    match = FILE_OF_A_REPOSITORY.fullmatch(network.url)
    return None if match is None else match.groupdict()
