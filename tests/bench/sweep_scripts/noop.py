"""A Hydra application that does nothing: what a job of a stock multirun costs."""

import os

import hydra


@hydra.main(version_base="1.3", config_path=os.environ["SWEEP_CONF"], config_name="config")
def main(cfg):
    return cfg.noop.value


if __name__ == "__main__":
    main()
