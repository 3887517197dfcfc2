"""Search: path searchers over a space, the candidate pool, and rules that spend rounds on partitions."""

from raynas.search import evolution as evolution
from raynas.search import random as random
from raynas.search.candidate_pool import CandidatePool
from raynas.search.constraints import Constraints
from raynas.search.explore import SCORE, Outcome, explore
from raynas.search.found import Found, best_found
from raynas.search.partition_rules import SCHEDULERS, PartitionRule, Turn
from raynas.search.pool import Pool, PoolEntry
from raynas.search.searcher import SEARCHERS, Searcher

__all__ = [
    "SCHEDULERS",
    "SCORE",
    "SEARCHERS",
    "CandidatePool",
    "Constraints",
    "Found",
    "Outcome",
    "PartitionRule",
    "Pool",
    "PoolEntry",
    "Searcher",
    "Turn",
    "best_found",
    "explore",
]
