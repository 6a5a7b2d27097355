"""Workflows in the API format that tests start from. Node ids are words, so that a test can change one by name."""

from __future__ import annotations

from typing import Any

Graph = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node of a graph; a link is `[node id, output index]`."""
    return {"class_type": class_type, "inputs": inputs}


def sample(
    model: dict[str, Any],
    positive: dict[str, Any],
    negative: dict[str, Any],
    size: int = 64,
    steps: int = 2,
    seed: int = 1,
    cfg: float = 7.0,
    batch: int = 1,
    sampler: str = "euler",
    scheduler: str = "normal",
) -> Graph:
    """KSampler on nodes that give MODEL and CONDITIONING (see `Host.give`); no picture is made."""
    return {
        "model": model,
        "positive": positive,
        "negative": negative,
        "latent": node("EmptyLatentImage", width=size, height=size, batch_size=batch),
        "sampler": node(
            "KSampler",
            model=["model", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler,
            scheduler=scheduler,
            denoise=1.0,
        ),
    }


def text_to_image(checkpoint: str) -> Graph:
    """Load Checkpoint -> KSampler -> VAE Decode -> Save Image, with the host's own nodes alone."""
    graph = sample(
        node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        node("CLIPTextEncode", text="a red barn", clip=["model", 1]),
        node("CLIPTextEncode", text="blurry", clip=["model", 1]),
    )
    graph["decode"] = node("VAEDecode", samples=["sampler", 0], vae=["model", 2])
    graph["save"] = node("SaveImage", images=["decode", 0], filename_prefix="zeroctl")
    return graph
