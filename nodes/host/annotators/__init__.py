"""Annotators in the host: their files and folders, their networks, their inputs."""
