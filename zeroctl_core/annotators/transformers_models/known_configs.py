"""Which keys of a config.json are read: those of every known model and of every known backbone, by name."""

from __future__ import annotations

# fmt: off
OUTPUTS = "out_features out_indices"
VIT = (
    "hidden_size num_hidden_layers num_attention_heads hidden_act hidden_dropout_prob attention_probs_dropout_prob "
    "initializer_range layer_norm_eps image_size patch_size num_channels qkv_bias"
)
DINOV2 = (
    f"{VIT} {OUTPUTS} mlp_ratio layerscale_value drop_path_rate use_swiglu_ffn apply_layernorm reshape_hidden_states "
    "use_mask_token"
)
SWIN = (
    f"{OUTPUTS} image_size patch_size num_channels embed_dim depths num_heads window_size mlp_ratio qkv_bias "
    "hidden_dropout_prob attention_probs_dropout_prob drop_path_rate hidden_act use_absolute_embeddings "
    "initializer_range layer_norm_eps encoder_stride"
)
CONVNEXT = (
    f"{OUTPUTS} num_channels patch_size num_stages hidden_sizes depths hidden_act initializer_range layer_norm_eps "
    "layer_scale_init_value drop_path_rate image_size"
)
RESNET = (
    f"{OUTPUTS} num_channels embedding_size hidden_sizes depths layer_type hidden_act downsample_in_first_stage "
    "downsample_in_bottleneck"
)
NECK = (
    "readout_type reassemble_factors neck_hidden_sizes fusion_hidden_size head_in_index "
    "use_batch_norm_in_fusion_residual use_bias_in_fusion_residual add_projection"
)
MASKS = (
    "ignore_value num_queries no_object_weight class_weight mask_weight dice_weight train_num_points oversample_ratio "
    "importance_sample_ratio init_std init_xavier_std use_auxiliary_loss output_auxiliary_logits hidden_dim "
    "encoder_feedforward_dim encoder_layers decoder_layers num_attention_heads dropout dim_feedforward pre_norm "
    "common_stride"
)
RT_DETR = (
    "initializer_range initializer_bias_prior_prob layer_norm_eps batch_norm_eps freeze_backbone_batch_norms "
    "encoder_hidden_dim encoder_in_channels feat_strides encoder_layers encoder_ffn_dim encoder_attention_heads "
    "dropout activation_dropout encode_proj_layers positional_encoding_temperature encoder_activation_function "
    "activation_function eval_size normalize_before hidden_expansion d_model num_queries decoder_in_channels "
    "decoder_ffn_dim num_feature_levels decoder_n_points decoder_layers decoder_attention_heads "
    "decoder_activation_function attention_dropout num_denoising label_noise_ratio box_noise_scale "
    "learn_initial_query anchor_image_size with_box_refine matcher_alpha matcher_gamma matcher_class_cost "
    "matcher_bbox_cost matcher_giou_cost use_focal_loss auxiliary_loss focal_loss_alpha focal_loss_gamma "
    "weight_loss_vfl weight_loss_bbox weight_loss_giou eos_coefficient"
)

MODELS = {
    "depth_anything": (
        "DepthAnythingConfig",
        "patch_size initializer_range reassemble_hidden_size reassemble_factors neck_hidden_sizes fusion_hidden_size "
        "head_in_index head_hidden_size depth_estimation_type max_depth",
    ),
    "dpt": (
        "DPTConfig",
        f"{VIT} {NECK} intermediate_size is_hybrid backbone_out_indices use_auxiliary_head auxiliary_loss_weight "
        "semantic_loss_ignore_index semantic_classifier_dropout backbone_featmap_shape neck_ignore_stages "
        "pooler_output_size pooler_act",
    ),
    "zoedepth": (
        "ZoeDepthConfig",
        f"{NECK} hidden_act initializer_range batch_norm_eps num_relative_features bottleneck_features num_attractors "
        "bin_embedding_dim attractor_alpha attractor_gamma attractor_kind min_temp max_temp bin_centers_type "
        "bin_configurations num_patch_transformer_layers patch_transformer_hidden_size "
        "patch_transformer_intermediate_size patch_transformer_num_attention_heads",
    ),
    "upernet": (
        "UperNetConfig",
        "hidden_size initializer_range pool_scales use_auxiliary_head auxiliary_loss_weight auxiliary_in_channels "
        "auxiliary_channels auxiliary_num_convs auxiliary_concat_input loss_ignore_index",
    ),
    "segformer": (
        "SegformerConfig",
        "num_channels num_encoder_blocks depths sr_ratios hidden_sizes patch_sizes strides num_attention_heads "
        "mlp_ratios hidden_act hidden_dropout_prob attention_probs_dropout_prob classifier_dropout_prob "
        "initializer_range drop_path_rate layer_norm_eps decoder_hidden_size semantic_loss_ignore_index "
        "reshape_last_stage",
    ),
    "mask2former": (
        "Mask2FormerConfig",
        f"{MASKS} feature_size mask_feature_size activation_function enforce_input_projection feature_strides",
    ),
    "oneformer": (
        "OneFormerConfig",
        f"{MASKS} contrastive_weight contrastive_temperature layer_norm_eps is_training strides task_seq_len "
        "text_encoder_width text_encoder_context_length text_encoder_num_layers text_encoder_vocab_size "
        "text_encoder_proj_layers text_encoder_n_ctx conv_dim mask_dim norm use_task_norm enforce_input_proj "
        "query_dec_layers",
    ),
    "vitpose": ("VitPoseConfig", "initializer_range scale_factor use_simple_decoder"),
    "rt_detr": ("RTDetrConfig", RT_DETR),
    "rt_detr_v2": ("RTDetrV2Config", f"{RT_DETR} decoder_n_levels decoder_offset_scale decoder_method"),
}
"""`model_type` -> its class of configuration, and the keys that are handed to it."""

BACKBONES = {
    "dinov2": ("Dinov2Config", DINOV2),
    "dinov2_with_registers": ("Dinov2WithRegistersConfig", f"{DINOV2} num_register_tokens"),
    "beit": (
        "BeitConfig",
        f"{VIT} {OUTPUTS} vocab_size intermediate_size use_mask_token use_absolute_position_embeddings "
        "use_relative_position_bias use_shared_relative_position_bias layer_scale_init_value drop_path_rate "
        "use_mean_pooling pool_scales use_auxiliary_head auxiliary_loss_weight auxiliary_channels auxiliary_num_convs "
        "auxiliary_concat_input semantic_loss_ignore_index add_fpn reshape_hidden_states",
    ),
    "bit": (
        "BitConfig",
        f"{OUTPUTS} num_channels embedding_size hidden_sizes depths layer_type hidden_act global_padding num_groups "
        "drop_path_rate embedding_dynamic_padding output_stride width_factor",
    ),
    "convnext": ("ConvNextConfig", CONVNEXT),
    "convnextv2": ("ConvNextV2Config", CONVNEXT),
    "swin": ("SwinConfig", SWIN),
    "swinv2": ("Swinv2Config", f"{SWIN} pretrained_window_sizes"),
    "focalnet": (
        "FocalNetConfig",
        f"{OUTPUTS} image_size patch_size num_channels embed_dim use_conv_embed hidden_sizes depths focal_levels "
        "focal_windows hidden_act mlp_ratio hidden_dropout_prob drop_path_rate use_layerscale layerscale_value "
        "use_post_layernorm use_post_layernorm_in_modulation normalize_modulator initializer_range layer_norm_eps "
        "encoder_stride",
    ),
    "pvt_v2": (
        "PvtV2Config",
        f"{OUTPUTS} image_size num_channels num_encoder_blocks depths sr_ratios hidden_sizes patch_sizes strides "
        "num_attention_heads mlp_ratios hidden_act hidden_dropout_prob attention_probs_dropout_prob initializer_range "
        "drop_path_rate layer_norm_eps qkv_bias linear_attention",
    ),
    "resnet": ("ResNetConfig", RESNET),
    "rt_detr_resnet": ("RTDetrResNetConfig", RESNET),
    "vitpose_backbone": ("VitPoseBackboneConfig", f"{VIT} {OUTPUTS} mlp_ratio num_experts part_features"),
}
"""The same of the backbones. Those that load code or weights of their own, such as timm's, are not among them."""

NOT_TAKEN = {
    "dinat": "it needs the package natten, which runs on few systems",
    "hiera": "in transformers it takes pictures of one size only",
    "timm_backbone": "its form, and often its weights, come from the package timm",
}
"""Backbones that are refused, and why."""

WORDS = frozenset((
    # activations
    "gelu", "gelu_10", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "quick_gelu", "leaky_relu",
    "linear", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "swish", "tanh",
    # heads, necks, norms, convolutions
    "relative", "metric", "ignore", "add", "project", "mean", "sum", "normed", "softplus", "hybrid1", "hybrid2",
    "bottleneck", "basic", "preactivation", "same", "valid", "SAME", "VALID", "GN", "LN", "default", "discrete",
    "stem",
))
"""The only words that a value may be, beside `stage1` and names of classes: transformers looks some up as code."""
# fmt: on

LAYERS = frozenset(
    "num_hidden_layers num_encoder_blocks num_stages depths encoder_layers decoder_layers query_dec_layers "
    "auxiliary_num_convs num_patch_transformer_layers text_encoder_num_layers text_encoder_proj_layers "
    "num_feature_levels num_experts".split()
)
"""Keys that say how often something is built."""

NOT_SIZES = frozenset("train_num_points text_encoder_vocab_size vocab_size positional_encoding_temperature".split())
"""Numbers that may be larger than every side of a file's weights."""
