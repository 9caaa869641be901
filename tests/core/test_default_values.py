"""Every default is that of its source."""

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.attention import AttentionConfig
from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.finetune import FinetuneConfig
from dino.core.configuration.knn import KnnConfig
from dino.core.configuration.linear import LinearConfig
from dino.core.configuration.linear_paper import LinearPaperConfig
from dino.core.configuration.low_shot import LowShotConfig
from dino.core.configuration.pretrain import (
    CropsConfig,
    HeadConfig,
    LossConfig,
    OptimizerConfig,
    PretrainConfig,
)


def test_training_defaults_are_the_references():
    """facebookresearch/dino, main_dino.py `get_args_parser`; arXiv 2104.14294, appendix D."""
    assert PretrainConfig().epochs == 100
    assert PretrainConfig().batch_size == 8 * 64
    assert PretrainConfig().teacher.momentum == 0.996
    assert HeadConfig() == HeadConfig(
        out_dim=65536,
        hidden_dim=2048,
        bottleneck_dim=256,
        layers=3,
        batch_norm=False,
        norm_last_layer=True,
    )
    assert LossConfig() == LossConfig(
        student_temperature=0.1,
        teacher_temperature=0.04,
        warmup_teacher_temperature=0.04,
        warmup_teacher_temperature_epochs=0,
        center_momentum=0.9,
    )
    assert OptimizerConfig() == OptimizerConfig(
        name="adamw",
        learning_rate=5e-4,
        min_learning_rate=1e-6,
        warmup_epochs=10,
        weight_decay=0.04,
        final_weight_decay=0.4,
        clip_norm=3.0,
        freeze_last_layer_epochs=1,
    )
    assert CropsConfig() == CropsConfig(
        global_size_px=224,
        local_size_px=96,
        local_crops=8,
        global_scale=(0.4, 1.0),
        local_scale=(0.05, 0.4),
        flip_probability=0.5,
        jitter_probability=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        grey_probability=0.2,
        blur_radius_px=(0.1, 2.0),
        blur_probability=(1.0, 0.1, 0.5),
        solarize_probability=0.2,
    )
    assert ArchitectureConfig(timm_name="vit_small_patch16_224").drop_path == 0.1


def test_fine_tuning_defaults_are_maes_for_vit_b():
    """facebookresearch/mae, FINETUNE.md, and main_finetune.py `get_args_parser`."""
    assert FinetuneConfig() == FinetuneConfig(
        epochs=100,
        batch_size=32 * 4 * 8,
        learning_rate=5e-4,
        min_learning_rate=1e-6,
        warmup_epochs=5,
        weight_decay=0.05,
        layer_decay=0.65,
        drop_path=0.1,
        label_smoothing=0.1,
        mixup=0.8,
        cutmix=1.0,
        resize_px=256,
        crop_px=224,
        crop_scale=(0.08, 1.0),
        flip_probability=0.5,
        auto_augment="rand-m9-mstd0.5-inc1",
        erase_probability=0.25,
    )


def test_evaluation_defaults_are_the_references():
    """facebookresearch/dino, eval_knn.py, eval_linear.py and visualize_attention.py."""
    assert KnnConfig().neighbours == (10, 20, 100, 200)
    assert KnnConfig().headline == 20
    assert KnnConfig().temperature == 0.07
    assert LinearConfig().epochs == LinearPaperConfig().epochs == 100
    assert LinearPaperConfig().learning_rates == (0.001,)
    assert (LinearPaperConfig().scale, LinearPaperConfig().flip_probability) == ((0.08, 1.0), 0.5)
    assert (LowShotConfig().fractions, LowShotConfig().draws) == ((0.01, 0.1), 5)
    assert LinearConfig().learning_rates == (0.001,)
    assert (FeaturesConfig().resize_px, FeaturesConfig().crop_px) == (256, 224)
    assert FeaturesConfig().last_blocks == 4
    assert AttentionConfig().image_size_px == 480
    assert AttentionConfig().headline == "paper@0.6"
    assert AttentionConfig().masses == (0.6, 0.8)
