"""Words of other tools, and those of these pages for the same thing; what has no setting here, and why."""

from collections.abc import Iterable

SAME: dict[str, tuple[str, ...]] = {
    "accurate": ("best", "best_quality", "high_quality", "high"),
    "accumulate": ("gradient_accumulation_steps", "accumulate_grad_batches"),
    "augment": ("augmentation", "augmentations", "transforms", "batch_tfms", "aug_transforms"),
    "batch_size": ("batch", "bs", "per_device_train_batch_size", "batchsize"),
    "budget": ("time_limit", "max_time", "time", "timeout"),
    "clip": ("grad_clip", "clipnorm", "max_grad_norm", "gradient_clip_val", "clip_grad_norm"),
    "columns": ("features", "feature_columns", "feature_types", "dtypes", "dtype", "column_types"),
    "context": ("context_length", "lookback", "window", "window_size", "input_size", "input_chunk_length"),
    "cnn": ("resnet", "conv", "convnet"),
    "cuda": ("gpu",),
    "device": ("gpu", "gpus", "accelerator", "devices"),
    "data": ("dataset", "train_data", "file", "path", "csv", "input", "source", "df", "dataframe"),
    "delimiter": ("sep", "separator"),
    "depth": ("n_layers", "num_layers", "hidden_layers", "n_hidden"),
    "dropout": ("dropout_rate", "ps", "p_dropout"),
    "ema": ("ema_decay", "use_ema"),
    "epochs": (
        "num_epochs",
        "max_epochs",
        "n_epochs",
        "max_iter",
        "num_train_epochs",
        "epoch",
        "nb_epoch",
        "iterations",
    ),
    "fast": ("medium_quality", "quick", "low"),
    "fnn": ("mlpclassifier", "mlpregressor", "tabular", "dnn", "neural_network", "feedforward", "nn_torch"),
    "horizon": ("prediction_length", "forecast_horizon", "output_chunk_length", "steps_ahead", "fh"),
    "ignore": ("drop", "skip", "exclude", "none"),
    "kind": ("name", "type", "class_name"),
    "layers": ("network", "architecture"),
    "lr": ("learning_rate", "lr0", "learning_rate_init", "eta", "lr_max", "max_lr", "base_lr"),
    "missing": ("na_values", "missing_values", "null_values"),
    "model": ("estimator", "algorithm", "net", "hyperparameters", "learner"),
    "optimizer": ("optim", "opt_func", "solver", "optimiser"),
    "path": ("file", "csv", "filename", "source", "url"),
    "patience": ("early_stopping", "early_stopping_patience", "n_iter_no_change", "earlystopping"),
    "preset": ("presets", "quality"),
    "pretrained": (
        "bert",
        "distilbert",
        "finetune",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "transfer",
        "vit",
    ),
    "precision": ("fp16", "bf16", "amp", "half", "mixed_precision"),
    "schedule": ("scheduler", "lr_scheduler", "lr_schedule", "lr_scheduler_type"),
    "season": ("sp", "seasonal_periods", "freq", "season_length"),
    "seed": ("random_state", "random_seed", "manual_seed"),
    "steps_per_epoch": ("max_steps", "limit_train_batches"),
    "target": ("label", "labels", "y", "y_names", "y_col", "target_column", "dep_var", "class", "outcome"),
    "task": ("problem_type", "task_type", "objective"),
    "test": ("test_size", "test_split", "test_ratio", "test_data"),
    "threads": ("n_jobs", "num_threads", "nthreads"),
    "validation": (
        "validation_split",
        "validation_fraction",
        "valid_pct",
        "val_size",
        "val_split",
        "val",
        "holdout_frac",
    ),
    "warmup": ("warmup_ratio", "warmup_epochs", "pct_start"),
    "weight_decay": ("wd", "l2", "alpha", "decay", "l2_regularization"),
    "class_weight": ("class_weights", "sample_weight", "balanced", "scale_pos_weight"),
    "width": ("units", "hidden_size", "hidden_dim", "hidden_units", "n_units", "neurons"),
}

NOWHERE: dict[str, str] = {
    "callbacks": "Checkpoints, early stopping and logs are there without any: leave it out.",
    "cv": "One split is used: leave it out, or change it with split: {validation: 0.15, test: 0.15}.",
    "eval_metric": "All scores that fit the task are computed: leave it out.",
    "folds": "One split is used: leave it out, or change it with split: {validation: 0.15, test: 0.15}.",
    "hidden_layer_sizes": "Write model: {kind: fnn, width: 64, depth: 2}.",
    "layers": "Write model: {kind: sequential, layers: [{dense: 64}, {dropout: 0.2}, {dense: 1}]}.",
    "imgsz": "Images say their size. Write columns: {NAME: {kind: image, size: [64, 64]}} for another.",
    "kfold": "One split is used: leave it out, or change it with split: {validation: 0.15, test: 0.15}.",
    "metrics": "All scores that fit the task are computed: leave it out.",
    "nc": "Classes are counted in the data: leave it out.",
    "num_workers": "Rows are in memory and no processes read them: leave it out.",
    "pretrained": "Write model: {kind: pretrained, path: FOLDER}.",
    "project": "Say where the run goes with: lamina train ... --out FOLDER.",
    "save": "Every run is saved: leave it out.",
    "shuffle": "Rows are shuffled in each epoch: leave it out.",
    "verbose": "Every epoch has a line: leave it out.",
    "workers": "Rows are in memory and no processes read them: leave it out.",
}


def own(word: str) -> list[str]:
    """The names of settings that a word of another tool may mean, the word itself among them."""
    word = word.strip().lower().replace("-", "_")
    return [word, *(name for name, others in SAME.items() if word in others)]


def among(word: str, names: Iterable[str]) -> str | None:
    """The one of some names that a word means, None where none does."""
    names = set(names)
    return next((name for name in own(word) if name in names), None)


def absent(word: str) -> str | None:
    """Why there is no such setting, and what to do; None where nothing is known of it."""
    return NOWHERE.get(word.strip().lower().replace("-", "_"))
