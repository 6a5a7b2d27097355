"""`python -m zeroctl_core.train`: train a ControlNet on the embedded model. Needs the extra `train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .checkpointing import ResumeError
from .config import ControlConfig


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        import tyro
    except ModuleNotFoundError as error:
        if error.name != "tyro":
            raise
        print("the command line needs the extra `train`: pip install 'zeroctl[train]'", file=sys.stderr)
        return 2
    try:
        config = tyro.cli(
            ControlConfig,
            prog="python -m zeroctl_core.train",
            description="Train a ControlNet for one condition of the embedded world, on the locked embedded model.",
            args=arguments,
        )
        from .keep_memory import keep_memory
        from .run import train_control  # after --help, which does not need it

        keep_memory()
        train_control(config)
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells count
    except (ResumeError, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
