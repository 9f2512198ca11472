"""Tiny random models of many families, of the classes that real ones have."""

from __future__ import annotations

from typing import Any

VOCABULARY = 64
_COMMON = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}
_WIDE = {**_COMMON, **_SIZES}
_GPT = {**_COMMON, "n_embd": 32, "n_layer": 2, "n_head": 4}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_LATENT = {
    "q_lora_rank": 12,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8}

DENSE: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", _WIDE),
    "tied": ("LlamaConfig", {**_WIDE, "tie_word_embeddings": True}),
    "mistral, all layers in a window": ("MistralConfig", {**_WIDE, "sliding_window": 4}),
    "qwen2, one layer in a window": (
        "Qwen2Config",
        {**_WIDE, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen3, heads wider than hidden": ("Qwen3Config", {**_WIDE, "head_dim": 16}),
    "gemma2, capped": (
        "Gemma2Config",
        {**_WIDE, "head_dim": 16, "final_logit_softcapping": 2.0, "sliding_window": 4},
    ),
    "gemma3": ("Gemma3TextConfig", {**_WIDE, "head_dim": 16, "sliding_window": 4}),
    "granite": ("GraniteConfig", {**_WIDE, "logits_scaling": 8.0}),
    "cohere": ("CohereConfig", _WIDE),
    "phi": ("PhiConfig", _WIDE),
    "phi3": ("Phi3Config", _WIDE),
    "olmo2": ("Olmo2Config", _WIDE),
    "gpt_neox": ("GPTNeoXConfig", _WIDE),
    "gpt2": ("GPT2Config", _GPT),
    "bloom": ("BloomConfig", {**_COMMON, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
}
EXPERTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mixtral": ("MixtralConfig", {**_WIDE, **_LOCAL_EXPERTS}),
    "qwen2_moe, a shared expert": (
        "Qwen2MoeConfig",
        {**_WIDE, **_EXPERTS, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40},
    ),
    "qwen3_moe": ("Qwen3MoeConfig", {**_WIDE, **_EXPERTS, "head_dim": 16, "moe_intermediate_size": 24}),
    "olmoe": ("OlmoeConfig", {**_WIDE, **_EXPERTS}),
    "granitemoe": ("GraniteMoeConfig", {**_WIDE, **_LOCAL_EXPERTS}),
    "gpt_oss": ("GptOssConfig", {**_WIDE, **_LOCAL_EXPERTS, "head_dim": 16, "sliding_window": 4}),
    "deepseek_v3, latent attention": (
        "DeepseekV3Config",
        {
            **_WIDE,
            **_LATENT,
            "num_key_value_heads": 4,
            "moe_intermediate_size": 24,
            "n_routed_experts": 8,
            "num_experts_per_tok": 2,
            "n_group": 2,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        },
    ),
}
NO_FORMULA: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("MambaConfig", {**_COMMON, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}),
    "jamba": (
        "JambaConfig",
        {
            **_WIDE,
            **_EXPERTS,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "mamba_dt_rank": 4,
            "mamba_d_state": 8,
            "use_mamba_kernels": False,
        },
    ),
    "bamba": ("BambaConfig", {**_WIDE, **_MAMBA, "attn_layer_indices": [1], "mamba_chunk_size": 8}),
    "recurrent_gemma": (
        "RecurrentGemmaConfig",
        {**_WIDE, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 4},
    ),
    "lfm2": ("Lfm2Config", {**_WIDE, "layer_types": ["conv", "full_attention"], "conv_L_cache": 3}),
    "qwen3_next": (
        "Qwen3NextConfig",
        {
            **_WIDE,
            **_EXPERTS,
            "head_dim": 16,
            "moe_intermediate_size": 24,
            "shared_expert_intermediate_size": 24,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
        },
    ),
}
TRAINABLE = {**DENSE, **EXPERTS, **NO_FORMULA}


def family(name: str, **settings: Any) -> Any:
    """A model of a family as a stage would load it: fused attention where it has it, no dropout."""
    import torch
    import transformers

    torch.manual_seed(0)
    kind, sizes = TRAINABLE[name]
    config = getattr(transformers, kind)(**sizes)
    with_class = transformers.AutoModelForCausalLM
    try:
        model = with_class.from_config(config, **{"attn_implementation": "sdpa", **settings})
    except ValueError:
        model = with_class.from_config(config, **{**settings, "attn_implementation": "eager"})
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train()


def refused(name: str) -> Any:
    """A configuration of a kind that cannot be trained here."""
    import transformers as t

    small = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    small["num_attention_heads"] = 2
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    made = {
        "gemma3": lambda: t.Gemma3Config(text_config=t.Gemma3TextConfig(**_WIDE, head_dim=16)),
        "qwen2_vl": lambda: t.Qwen2VLConfig(text_config=dict(_WIDE)),
        "llava": lambda: t.LlavaConfig(text_config=t.LlamaConfig(**_WIDE)),
        "t5": lambda: t.T5Config(vocab_size=VOCABULARY, d_model=32, d_ff=48, num_layers=1, num_heads=2),
        "bart": lambda: t.BartConfig(vocab_size=VOCABULARY, d_model=32, **layers),
        "bert": lambda: t.BertConfig(**small),
        "roberta": lambda: t.RobertaConfig(**small),
        "xlnet": lambda: t.XLNetConfig(vocab_size=VOCABULARY, d_model=32, n_layer=1, n_head=2, d_inner=32),
        "vit": lambda: t.ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2),
    }
    return made[name]()
