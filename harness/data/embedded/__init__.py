"""The tiny world: prompts, answers, tokenizer, base model and judge, all made by code."""
