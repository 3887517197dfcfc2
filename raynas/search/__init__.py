"""Search: path searchers over a space, the candidate pool, and rules that spend rounds on partitions."""

from raynas.search import cars as cars
from raynas.search import evolution as evolution
from raynas.search import evolution_rule as evolution_rule
from raynas.search import greedy as greedy
from raynas.search import greedy_rule as greedy_rule
from raynas.search import hyperband as hyperband
from raynas.search import local as local
from raynas.search import nsga2 as nsga2
from raynas.search import optuna_searcher as optuna_searcher
from raynas.search import random as random
from raynas.search import regularized_evolution as regularized_evolution
from raynas.search import reinforce as reinforce
from raynas.search import reinforce_rule as reinforce_rule
from raynas.search import tune_rules as tune_rules
from raynas.search.breeding_tree import PartitionTree
from raynas.search.candidate_pool import CandidatePool
from raynas.search.constraints import Constraints
from raynas.search.explore import SCORE, Cost, Outcome, explore
from raynas.search.found import Found, best_found
from raynas.search.partition_rules import SCHEDULERS, PartitionRule
from raynas.search.pool import Pool, PoolEntry
from raynas.search.searcher import SEARCHERS, Searcher
from raynas.search.turn import Birth, Breed, Standing, Turn

__all__ = [
    "SCHEDULERS",
    "SCORE",
    "SEARCHERS",
    "Birth",
    "Breed",
    "CandidatePool",
    "Constraints",
    "Cost",
    "Found",
    "Outcome",
    "PartitionRule",
    "PartitionTree",
    "Pool",
    "PoolEntry",
    "Searcher",
    "Standing",
    "Turn",
    "best_found",
    "explore",
]
