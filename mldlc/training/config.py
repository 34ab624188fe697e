"""Config of what is trained: groups `model`, `objective` and `optimizer`. Light: read by the compiler."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mldlc.config.schema import Config, result

Activation = Literal["relu", "gelu", "silu", "tanh"]
Norm = Literal["none", "batch", "layer"]
NumericEmbedding = Literal["none", "piecewise", "periodic"]


class Mlp(Config):
    """A multilayer perceptron: numeric columns and an embedding of each categorical column.

    layers: hidden widths. residual: add a layer's input where the widths agree. embedding_dim: width of a category's
    embedding. numeric_embedding: how a number enters: as it is, `piecewise` (position among `numeric_bins` quantiles
    of the training rows) or `periodic` (`numeric_bins` trained frequencies, drawn with `frequency_scale`), then
    `numeric_dim` features a column.
    """

    kind: Literal["mlp"]
    layers: list[Annotated[int, Field(ge=1)]] = result([256, 128])
    dropout: float = result(0.1, ge=0, lt=1)
    activation: Activation = result("relu")
    norm: Norm = result("none")
    residual: bool = result(False)
    embedding_dim: int = result(8, ge=1)
    embedding_dropout: float = result(0.0, ge=0, lt=1)
    numeric_embedding: NumericEmbedding = result("none")
    numeric_dim: int = result(16, ge=1)
    numeric_bins: int = result(32, ge=2)
    frequency_scale: float = result(0.5, gt=0)


class Linear(Config):
    """Linear or logistic regression: the baseline that every model should beat."""

    kind: Literal["linear"]


class Cnn(Config):
    """A small convolutional network over images whose pixels are the table's numeric columns, in order.

    shape: [channels, height, width]. channels: of each stage of `convolutions` 3x3 convolutions with batch norm;
    max-pooling halves the image between stages.
    """

    kind: Literal["cnn"]
    shape: list[Annotated[int, Field(ge=1)]] = result(..., min_length=3, max_length=3)
    channels: list[Annotated[int, Field(ge=1)]] = result([16, 32], min_length=1)
    convolutions: int = result(2, ge=1)
    dropout: float = result(0.0, ge=0, lt=1)
    activation: Activation = result("relu")

    @model_validator(mode="after")
    def _fits(self) -> Cnn:
        if min(self.shape[1:]) >> (len(self.channels) - 1) < 1:
            raise ValueError(f"{len(self.channels)} stages halve an image of {self.shape[1:]} to nothing")
        return self


class FtTransformer(Config):
    """A transformer over columns: each number and each category is a token, and a class token is read.

    dim: width of a token, a multiple of `heads`. hidden_factor: width of the feed-forward layers (ReGLU) / dim.
    """

    kind: Literal["ft_transformer"]
    blocks: int = result(3, ge=1)
    dim: int = result(192, ge=1)
    heads: int = result(8, ge=1)
    hidden_factor: float = result(4 / 3, gt=0)
    attention_dropout: float = result(0.2, ge=0, lt=1)
    hidden_dropout: float = result(0.1, ge=0, lt=1)
    residual_dropout: float = result(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> FtTransformer:
        if self.dim % self.heads:
            raise ValueError(f"dim must be a multiple of heads, but {self.dim} is none of {self.heads}")
        return self


class Gpt(Config):
    """A decoder-only transformer over tokens (`lifecycle=text`).

    context: tokens that it sees. dim: width, a multiple of `heads`. positions: `rotary` turns queries and keys by their
    position, `learned` adds an embedding of it.
    """

    kind: Literal["gpt"]
    context: int = result(64, ge=1)
    layers: int = result(4, ge=1)
    heads: int = result(4, ge=1)
    dim: int = result(128, ge=2)
    dropout: float = result(0.0, ge=0, lt=1)
    positions: Literal["rotary", "learned"] = result("rotary")

    @model_validator(mode="after")
    def _heads_divide(self) -> Gpt:
        step = self.heads * (2 if self.positions == "rotary" else 1)
        if self.dim % step:
            raise ValueError(f"dim must be a multiple of {step} (heads, and pairs for rotary), but is {self.dim}")
        return self


class CustomModel(Config):
    """The user's own `torch.nn.Module` or `LightningModule`, from the project's code roots.

    target: `package.module:Class`. args: keyword arguments of its constructor; where it takes `in_features`,
    `out_features`, `n_numeric` or `cardinalities` and `args` does not give them, they come from the data.
    A plain module gets `numeric` (B, F) float32 and `categorical` (B, K) int32 if its `forward` names them, else one
    float32 tensor (B, F + K), numeric columns first; it returns logits, or values in standard units.
    A LightningModule stays as it is, with its own optimizer and steps: a batch is `(x, y)` with x (B, F + K) and y
    int64 classes or float32 values in the label's unit (`batch: tuple`), or a dict {numeric, categorical, label,
    weight?}; `forward` returns logits, or values in the label's unit.
    """

    kind: Literal["custom"]
    target: str = result(..., min_length=3)
    args: dict[str, Any] = result({})
    batch: Literal["tuple", "dict"] = result("tuple")


Model = Annotated[Mlp | Linear | Cnn | FtTransformer | Gpt | CustomModel, Field(discriminator="kind")]


class AutoObjective(Config):
    """The usual objective: two classes binary, more multiclass, a number regression (squared error), tokens
    language_model."""

    kind: Literal["auto"]


class Binary(Config):
    """Cross-entropy of two classes; the positive class is the second one. Predicts its probability.

    pos_weight: factor on the positive rows' loss; `auto` is negatives / positives among the training rows.
    label_smoothing s: targets become s/2 and 1 - s/2.
    """

    kind: Literal["binary"]
    label_smoothing: float = result(0.0, ge=0, lt=1)
    pos_weight: Literal["auto"] | float | None = result(None)


class Multiclass(Config):
    """Cross-entropy of two or more classes; predicts a probability a class.

    class_weights `balanced`: rows / (classes * rows of the class), counted on the training rows.
    """

    kind: Literal["multiclass"]
    label_smoothing: float = result(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = result("none")


class Regression(Config):
    """A numeric label, standardised inside by the training rows; predictions come back in the label's own unit.

    log_target: learn log(1 + label), for labels above -1. huber_delta: in standard units, for `loss: huber`.
    """

    kind: Literal["regression"]
    loss: Literal["mse", "huber", "mae"] = result("mse")
    huber_delta: float = result(1.0, gt=0)
    log_target: bool = result(False)


class LanguageModel(Config):
    """Cross-entropy of the next token, in nats."""

    kind: Literal["language_model"]
    label_smoothing: float = result(0.0, ge=0, lt=1)


Objective = Annotated[AutoObjective | Binary | Multiclass | Regression | LanguageModel, Field(discriminator="kind")]


class NoSchedule(Config):
    """A constant learning rate, after the warm-up."""

    kind: Literal["none"]


class Cosine(Config):
    """Falls to `final` x lr along a half cosine over the whole training."""

    kind: Literal["cosine"]
    final: float = result(0.0, ge=0, le=1)


class OneCycle(Config):
    """torch's OneCycleLR over the whole training: up to lr within `pct_start` of it, then down."""

    kind: Literal["one_cycle"]
    pct_start: float = result(0.3, gt=0, lt=1)
    div_factor: float = result(25.0, gt=0)
    final_div_factor: float = result(10000.0, gt=0)


class Plateau(Config):
    """Multiplies the rate by `factor` when `monitor` has not improved for `patience` validations."""

    kind: Literal["plateau"]
    monitor: str = result("val_loss")
    mode: Literal["min", "max"] = result("min")
    factor: float = result(0.5, gt=0, lt=1)
    patience: int = result(3, ge=0)


class StepDown(Config):
    """Multiplies the rate by `gamma` every `step_size` epochs."""

    kind: Literal["step"]
    step_size: int = result(10, ge=1)
    gamma: float = result(0.1, gt=0, le=1)


Scheduler = Annotated[NoSchedule | Cosine | OneCycle | Plateau | StepDown, Field(discriminator="kind")]


class _Scheduled(Config):
    """What all optimizers share. warmup_steps: optimizer steps of a linear rise before the schedule.

    decay: `all` weights, or only `matrices`: not biases, norms and what the network exempts (its embeddings, say).
    """

    weight_decay: float = result(0.0001, ge=0)
    decay: Literal["all", "matrices"] = result("all", neutral="all")
    warmup_steps: int = result(0, ge=0)
    scheduler: Scheduler = result(NoSchedule(kind="none"))

    @model_validator(mode="after")
    def _warmup_fits(self) -> _Scheduled:
        if self.warmup_steps and self.scheduler.kind in ("one_cycle", "plateau"):
            raise ValueError(f"warmup_steps must be 0 with scheduler '{self.scheduler.kind}'")
        return self


class Adam(_Scheduled):
    """Adam, or AdamW (decoupled weight decay), by torch's fused kernels."""

    kind: Literal["adamw", "adam"]
    lr: float = result(0.001, gt=0)
    betas: list[float] = result([0.9, 0.999], min_length=2, max_length=2)
    eps: float = result(1.0e-8, gt=0)


class Sgd(_Scheduled):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"]
    lr: float = result(0.05, gt=0)
    momentum: float = result(0.9, ge=0, lt=1)
    nesterov: bool = result(True)


Optimizer = Annotated[Adam | Sgd, Field(discriminator="kind")]
