"""What Lightning's users type in `trainer` that is somewhere else here: name -> where. Read for error messages only."""

from __future__ import annotations

_RANKS = "several devices: trainer=ddp (or fsdp2, deepspeed_zero2) and trainer.devices=2"
_PLUGIN = "write a LightningModule of your own: model=custom"
_EVALUATED = "parts are evaluated by the stage 'evaluate', whole: evaluate.parts=[test]"
_STORED = "a run keeps its best weights and resumes by itself; callbacks.checkpoint says which are best"

TRAINER = {
    "auto_lr_find": "sweep it: -m optimizer.lr=0.0005,0.001,0.002",
    "auto_scale_batch_size": "set it: ingest.batch_size=4096",
    "auto_select_gpus": "one GPU: trainer=gpu",
    "barebones": "drop stages instead: ~lifecycle.stages.profile",
    "batch_size": "set it: ingest.batch_size=4096",
    "callbacks": "yours: callbacks.extra=[{target: my.module:Class}]; there are early_stopping, checkpoint, averaging",
    "checkpoint_callback": _STORED,
    "default_root_dir": "runs have folders of their own; choose where with paths.outputs=",
    "devices": _RANKS,
    "enable_autolog_hparams": "loggers get the config; name them in callbacks.loggers",
    "enable_checkpointing": _STORED,
    "epochs": "did you mean 'max_epochs'?",
    "gpus": "one GPU: trainer=gpu",
    "limit_predict_batches": _EVALUATED,
    "limit_test_batches": _EVALUATED,
    "log_gpu_memory": "the run's page and `mldlc show` give the peak memory of every step",
    "logger": "loggers of yours: callbacks.loggers=[{target: my.module:Logger}]; a run's page shows the curves anyway",
    "model_registry": "publish with a registry: registry=folder",
    "num_nodes": "this release trains on the devices of one machine",
    "num_processes": _RANKS,
    "plugins": _PLUGIN,
    "reload_dataloaders_every_n_epochs": "batches are cut anew every epoch; ingest says how",
    "resume_from_checkpoint": "the same command again resumes by itself",
    "strategy": _RANKS,
    "stochastic_weight_avg": "set it: callbacks.averaging={kind: swa}",
    "sync_batchnorm": "each rank normalises its own part of a batch; model.norm=layer does not depend on it",
    "tpu_cores": "there is trainer=cpu and trainer=gpu",
    "track_grad_norm": "log it in a callback of yours: callbacks.extra=[{target: my.module:Class}]",
    "use_distributed_sampler": "batches are cut by rank, without overlap, as ingest says",
    "weights_save_path": "runs have folders of their own; choose where with paths.outputs=",
    "weights_summary": "set it: trainer.enable_model_summary=true",
}
