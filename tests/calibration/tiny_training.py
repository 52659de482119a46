"""Recipes for tiny backbones, and the windows that they read."""

from __future__ import annotations

from transplant.calibration.objectives.config import LearnConfig
from transplant.text.spread import spread_windows
from transplant.training.config import TrainConfig

D_ABI = 16
TRAIN = TrainConfig(
    d_abi=D_ABI, steps=80, batch=4, window=64, evaluate_every=20, learning_rate=0.01, patience=9
)
QUICK = LearnConfig(steps=60, learning_rate=0.02, evaluate_every=20, patience=9)


def windows_of(backbone, documents):
    return spread_windows(documents, backbone.tokenizer, 64, 10**6)
