"""What a report cites, in BibTeX."""

from __future__ import annotations


def _entry(kind: str, key: str, **fields: str) -> str:
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{kind}{{{key},\n{body}\n}}\n"


def _arxiv(key: str, author: str, title: str, year: str, number: str) -> str:
    return _entry("misc", key, author=author, title=title, year=year, eprint=number, archiveprefix="arXiv")


REFERENCES = {
    "hong2024": _arxiv(
        "hong2024",
        "Hong, Jiwoo and Lee, Noah and Thorne, James",
        "{ORPO}: Monolithic Preference Optimization without Reference Model",
        "2024",
        "2403.07691",
    ),
    "rafailov2023": _arxiv(
        "rafailov2023",
        "Rafailov, Rafael and Sharma, Archit and Mitchell, Eric and Ermon, Stefano and "
        "Manning, Christopher D. and Finn, Chelsea",
        "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
        "2023",
        "2305.18290",
    ),
    "ouyang2022": _arxiv(
        "ouyang2022",
        "Ouyang, Long and others",
        "Training language models to follow instructions with human feedback",
        "2022",
        "2203.02155",
    ),
    "hu2022": _arxiv(
        "hu2022",
        "Hu, Edward J. and others",
        "{LoRA}: Low-Rank Adaptation of Large Language Models",
        "2021",
        "2106.09685",
    ),
    "vonwerra2020": _entry(
        "misc",
        "vonwerra2020",
        author="von Werra, Leandro and others",
        title="{TRL}: Transformer Reinforcement Learning",
        year="2020",
        howpublished="GitHub, huggingface/trl",
    ),
    "kaplan2020": _arxiv(
        "kaplan2020",
        "Kaplan, Jared and others",
        "Scaling Laws for Neural Language Models",
        "2020",
        "2001.08361",
    ),
    "li2023": _entry(
        "misc",
        "li2023",
        author="Li, Xuechen and others",
        title="{AlpacaEval}: An Automatic Evaluator of Instruction-following Models",
        year="2023",
        howpublished="GitHub, tatsu-lab/alpaca\\_eval",
    ),
    "dubois2024": _arxiv(
        "dubois2024",
        "Dubois, Yann and Galambosi, Bal{\\'a}zs and Liang, Percy and Hashimoto, Tatsunori B.",
        "Length-Controlled {AlpacaEval}: A Simple Way to Debias Automatic Evaluators",
        "2024",
        "2404.04475",
    ),
    "zheng2023": _arxiv(
        "zheng2023",
        "Zheng, Lianmin and others",
        "Judging {LLM}-as-a-Judge with {MT-Bench} and Chatbot Arena",
        "2023",
        "2306.05685",
    ),
    "gao2024": _entry(
        "misc",
        "gao2024",
        author="Gao, Leo and others",
        title="The Language Model Evaluation Harness",
        year="2024",
        howpublished="GitHub, EleutherAI/lm-evaluation-harness",
    ),
    "amini2025": _arxiv(
        "amini2025",
        "Amini, Afra and Vieira, Tim and Cotterell, Ryan",
        "Better Estimation of the {Kullback--Leibler} Divergence Between Language Models",
        "2025",
        "2504.10637",
    ),
    "mcnemar1947": _entry(
        "article",
        "mcnemar1947",
        author="McNemar, Quinn",
        title="Note on the sampling error of the difference between correlated proportions or percentages",
        journal="Psychometrika",
        volume="12",
        pages="153--157",
        year="1947",
    ),
    "satterthwaite1946": _entry(
        "article",
        "satterthwaite1946",
        author="Satterthwaite, F. E.",
        title="An approximate distribution of estimates of variance components",
        journal="Biometrics Bulletin",
        volume="2",
        pages="110--114",
        year="1946",
    ),
    "holm1979": _entry(
        "article",
        "holm1979",
        author="Holm, Sture",
        title="A simple sequentially rejective multiple test procedure",
        journal="Scandinavian Journal of Statistics",
        volume="6",
        pages="65--70",
        year="1979",
    ),
    "schuirmann1987": _entry(
        "article",
        "schuirmann1987",
        author="Schuirmann, Donald J.",
        title="A comparison of the two one-sided tests procedure and the power approach for assessing the "
        "equivalence of average bioavailability",
        journal="Journal of Pharmacokinetics and Biopharmaceutics",
        volume="15",
        pages="657--680",
        year="1987",
    ),
}
