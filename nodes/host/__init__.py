"""The adapter: the only package of the pack that imports the host (`comfy.*`, `folder_paths`, `server`, `comfy_api`).

One file a concern: `schema` (V3 classes on every supported host), `paths` (model folders), `loading` (our networks as
the host's CONTROL_NET), `copying` (the trainable copy of a MODEL), `units` (what a stack carries), `family` (what a
MODEL is), `preflight` and `report` (what is known before sampling), `inject` (the hook in the MODEL), `run` and
`on_device` (what lives for one sampling run, and its part on one device), `areas` (whose rows, which crop), `foreign`
(anybody else's CONTROL_NET), `lists` (the lists that the host's UNet pops), `memory` (additional models), `notices`
(log and browser).
"""
