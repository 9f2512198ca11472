"""What a report cites besides its methods, which bring citations of their own."""

from __future__ import annotations

from collections.abc import Iterable

from harness.records import Citation
from harness.records.citation import arxiv, entry
from harness.tables import Reference

HONG_2024 = arxiv(
    "hong2024",
    author="Hong, Jiwoo and Lee, Noah and Thorne, James",
    title="{ORPO}: Monolithic Preference Optimization without Reference Model",
    year="2024",
    number="2403.07691",
)
HU_2022 = arxiv(
    "hu2022",
    author="Hu, Edward J. and others",
    title="{LoRA}: Low-Rank Adaptation of Large Language Models",
    year="2021",
    number="2106.09685",
)
VON_WERRA_2020 = entry(
    "misc",
    "vonwerra2020",
    author="von Werra, Leandro and others",
    title="{TRL}: Transformer Reinforcement Learning",
    year="2020",
    howpublished="GitHub, huggingface/trl",
)
KAPLAN_2020 = arxiv(
    "kaplan2020",
    author="Kaplan, Jared and others",
    title="Scaling Laws for Neural Language Models",
    year="2020",
    number="2001.08361",
)
LI_2023 = entry(
    "misc",
    "li2023",
    author="Li, Xuechen and others",
    title="{AlpacaEval}: An Automatic Evaluator of Instruction-following Models",
    year="2023",
    howpublished="GitHub, tatsu-lab/alpaca\\_eval",
)
DUBOIS_2024 = arxiv(
    "dubois2024",
    author="Dubois, Yann and Galambosi, Bal{\\'a}zs and Liang, Percy and Hashimoto, Tatsunori B.",
    title="Length-Controlled {AlpacaEval}: A Simple Way to Debias Automatic Evaluators",
    year="2024",
    number="2404.04475",
)
ZHENG_2023 = arxiv(
    "zheng2023",
    author="Zheng, Lianmin and others",
    title="Judging {LLM}-as-a-Judge with {MT-Bench} and Chatbot Arena",
    year="2023",
    number="2306.05685",
)
GAO_2024 = entry(
    "misc",
    "gao2024",
    author="Gao, Leo and others",
    title="The Language Model Evaluation Harness",
    year="2024",
    howpublished="GitHub, EleutherAI/lm-evaluation-harness",
)
AMINI_2025 = arxiv(
    "amini2025",
    author="Amini, Afra and Vieira, Tim and Cotterell, Ryan",
    title="Better Estimation of the {Kullback--Leibler} Divergence Between Language Models",
    year="2025",
    number="2504.10637",
)
SATTERTHWAITE_1946 = entry(
    "article",
    "satterthwaite1946",
    author="Satterthwaite, F. E.",
    title="An approximate distribution of estimates of variance components",
    journal="Biometrics Bulletin",
    volume="2",
    pages="110--114",
    year="1946",
)
MARCUS_1976 = entry(
    "article",
    "marcus1976",
    author="Marcus, Ruth and Peritz, Eric and Gabriel, K. R.",
    title="On closed testing procedures with special reference to ordered analysis of variance",
    journal="Biometrika",
    volume="63",
    pages="655--660",
    year="1976",
)
HOLM_1979 = entry(
    "article",
    "holm1979",
    author="Holm, Sture",
    title="A simple sequentially rejective multiple test procedure",
    journal="Scandinavian Journal of Statistics",
    volume="6",
    pages="65--70",
    year="1979",
)
JENNISON_2000 = entry(
    "book",
    "jennison2000",
    author="Jennison, Christopher and Turnbull, Bruce W.",
    title="Group Sequential Methods with Applications to Clinical Trials",
    publisher="Chapman and Hall/CRC",
    year="2000",
)
SCHUIRMANN_1987 = entry(
    "article",
    "schuirmann1987",
    author="Schuirmann, Donald J.",
    title="A comparison of the two one-sided tests procedure and the power approach for assessing the "
    "equivalence of average bioavailability",
    journal="Journal of Pharmacokinetics and Biopharmaceutics",
    volume="15",
    pages="657--680",
    year="1987",
)
DODGE_2019 = entry(
    "inproceedings",
    "dodge2019",
    author="Dodge, Jesse and Gururangan, Suchin and Card, Dallas and Schwartz, Roy and Smith, Noah A.",
    title="Show Your Work: Improved Reporting of Experimental Results",
    booktitle="Proceedings of EMNLP-IJCNLP",
    year="2019",
    eprint="1909.03004",
    archiveprefix="arXiv",
)
TANG_2020 = entry(
    "inproceedings",
    "tang2020",
    author="Tang, Raphael and Lee, Jaejun and Xin, Ji and Liu, Xinyu and Yu, Yaoliang and Lin, Jimmy",
    title="Showing Your Work Doesn't Always Work",
    booktitle="Proceedings of ACL",
    year="2020",
    eprint="2004.13705",
    archiveprefix="arXiv",
)
BENCHMARKS = {
    "alpaca_eval": (LI_2023, DUBOIS_2024),
    "mt_bench": (ZHENG_2023,),
    "lm_eval": (GAO_2024,),
    "diversity": (HONG_2024,),
    "divergence": (AMINI_2025,),
}
"""What a benchmark's scores cite, by its name."""
TITLES = {
    "alpaca_eval": "AlpacaEval",
    "behaviour": "behaviour of the answers",
    "diversity": "diversity of the answers",
    "divergence": "divergence from the starting model",
    "lm_eval": "LM Evaluation Harness",
    "mt_bench": "MT-Bench",
    "preference": "held-out preference pairs",
    "rubric": "answers graded by a rubric",
}
"""What a benchmark is called; others go by their own name."""


def cited(citations: Iterable[Citation]) -> tuple[Reference, ...]:
    """The bibliography, each entry once, in the order of citing."""
    by_key = {citation.key: citation for citation in citations}
    return tuple(Reference(key, citation.bibtex) for key, citation in by_key.items())
