"""Networks that the transformers package runs, from folders of config.json and weights."""

from __future__ import annotations

from .loading import TransformersModel, check_transformers, folder_tasks, load_model, model_for

__all__ = ["TransformersModel", "check_transformers", "folder_tasks", "load_model", "model_for"]
