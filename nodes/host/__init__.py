"""The adapter: only this package imports the host (`comfy.*`, `folder_paths`, `server`, `comfy_api`)."""
