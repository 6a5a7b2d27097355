"""The adapter: the only package of the pack that imports the host (`comfy.*`, `folder_paths`, `server`, `comfy_api`)."""
