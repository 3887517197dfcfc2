"""`SpaceContract`: what every search space must do, as a class of tests to subclass."""

from __future__ import annotations

import functools
import itertools
import pickle
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from raynas.errors import ArchitectureError, RaynasError, UnknownNameError
from raynas.spaces import Architecture, Space
from raynas.spaces.base import ENUMERATION_LIMIT


class SpaceContract:
    """Tests that any search space must pass; subclass it in a test file and say how to make the space.

    For example::

        from raynas.testing import SpaceContract

        class TestMySpace(SpaceContract):
            def make_space(self):
                return MySpace()

    pytest finds the inherited tests. Draws use fixed seeds, so that a result does not change from run to run. A space
    too large to walk through is checked on samples and on small subspaces instead.
    """

    draws = 60
    """How many random architectures a test looks at."""
    walked = 20_000
    """Spaces with more combinations of options than this are not enumerated in full."""
    p_value = 1e-5
    """Draws are called unequal below this probability."""

    def make_space(self) -> Space:
        """Return the space under test; override it."""
        raise NotImplementedError(f"{type(self).__name__} must override make_space() and return its search space")

    # What the tests share.

    def samples(self, space: Space) -> list[Architecture]:
        """Return `draws` random architectures."""
        rng = np.random.default_rng(0)
        return [space.sample(rng) for _ in range(self.draws)]

    def small_subspace(self, space: Space) -> tuple[Space, Architecture]:
        """Return a subspace of up to sixteen architectures and one of them, which differs from others in one decision.

        Up to four decisions of a random architecture may take a second option, chosen so that it alone is valid.
        """
        rng = np.random.default_rng(1)
        centre = space.sample(rng)
        allowed = {decision.name: [option] for decision, option in zip(space.decisions, centre.options, strict=True)}
        neighbours = space.neighbours(centre)
        widened = 0
        for index in rng.permutation(len(neighbours)).tolist():
            options = neighbours[index].options
            (place,) = (i for i, (x, y) in enumerate(zip(options, centre.options, strict=True)) if x != y)
            name = space.decisions[place].name
            if len(allowed[name]) == 1:
                allowed[name].append(options[place])
                widened += 1
            if widened == 4:
                break
        return space.subspace(allowed), centre

    def free_decisions(self, space: Space) -> list[str]:
        """Return the names of the decisions that have more than one option."""
        return [decision.name for decision in space.decisions if len(decision.options) > 1]

    def combinations(self, space: Space) -> int:
        """Return the number of combinations of options, valid or not."""
        return int(np.prod([len(decision.options) for decision in space.decisions], dtype=object))

    def assert_drawn_equally(self, drawn: Sequence[object], things: Sequence[object]) -> None:
        """Fail unless only these things were drawn, and as often as equal chances explain."""
        assert set(drawn) <= set(things), f"drawn, but not expected: {sorted(map(str, set(drawn) - set(things)))}"
        if len(things) > 1:
            p = stats.chisquare([drawn.count(thing) for thing in things]).pvalue
            assert p > self.p_value, f"draws over {len(things)} are not uniform (p = {p:.2g})"

    def assert_explains(self, kind: type[RaynasError], words: str, action: Callable[[], object]) -> None:
        """Fail unless the action raises an error of the kind whose message has the words."""
        message = None
        try:
            action()
        except kind as error:
            message = str(error)
        assert message is not None, f"no {kind.__name__} was raised"
        assert words in message, f"{words!r} is not in the message: {message}"

    # The tests.

    def test_samples_are_members_and_round_trip(self) -> None:
        """A draw is a member; its text and its options give it back."""
        space = self.make_space()
        for architecture in self.samples(space):
            assert architecture in space, architecture
            assert space.parse(str(architecture)) == architecture
            assert space.parse(str(architecture)).options == architecture.options
            assert space.make(architecture.options) == architecture

    def test_same_seed_same_samples(self) -> None:
        """Equal generators draw equal architectures."""
        space = self.make_space()
        assert self.samples(space) == self.samples(space)

    def test_draws_are_uniform(self) -> None:
        """Every architecture of a small subspace is drawn equally often."""
        small, _ = self.small_subspace(self.make_space())
        members = list(small.enumerate())
        rng = np.random.default_rng(2)
        self.assert_drawn_equally([small.sample(rng) for _ in range(100 * len(members))], members)

    def test_mutations_are_uniform(self) -> None:
        """Every neighbour is as likely as another."""
        small, centre = self.small_subspace(self.make_space())
        rng = np.random.default_rng(3)
        self.assert_drawn_equally([small.mutate(centre, rng) for _ in range(400)], small.neighbours(centre))

    def test_mutation_changes_exactly_one_decision(self) -> None:
        """A child of a mutation is a valid neighbour."""
        space = self.make_space()
        rng = np.random.default_rng(4)
        for parent in self.samples(space):
            child = space.mutate(parent, rng)
            assert child in space, child
            assert space.distance(parent, child) == 1, (parent, child)
        assert child in space.neighbours(parent)

    def test_crossover_takes_every_option_from_a_parent(self) -> None:
        """A child of two parents has nothing of its own."""
        space = self.make_space()
        rng = np.random.default_rng(5)
        for a, b in itertools.pairwise(self.samples(space)):
            child = space.crossover(a, b, rng)
            assert child in space, child
            assert all(option in pair for option, *pair in zip(child.options, a.options, b.options, strict=True))

    def test_distance_is_a_metric(self) -> None:
        """Zero only to itself, symmetric, no detour is shorter."""
        space = self.make_space()
        for a, b, c in itertools.permutations(self.samples(space)[:4], 3):
            assert (space.distance(a, b) == 0) == (a == b)
            assert space.distance(a, b) == space.distance(b, a)
            assert space.distance(a, c) <= space.distance(a, b) + space.distance(b, c)

    def test_enumeration_is_complete_and_distinct(self) -> None:
        """As many different members as `size` says, or a clear refusal to walk through too many."""
        space = self.make_space()
        if self.combinations(space) > ENUMERATION_LIMIT:
            self.assert_explains(ArchitectureError, "more than the", space.enumerate)
            self.assert_explains(ArchitectureError, "more than the", space.classes)
        small, _ = self.small_subspace(space)
        for walked in (small, space) if self.combinations(space) <= self.walked else (small,):
            everything = list(walked.enumerate())
            assert len(everything) == len(set(everything)) == walked.size
            assert all(architecture in walked for architecture in everything[::97])

    def test_decisions_have_distinct_names_and_options(self) -> None:
        """Names tell decisions apart, options too, and the groups of `parts` hold every decision once."""
        space = self.make_space()
        names = [decision.name for decision in space.decisions]
        assert len(set(names)) == len(names)
        assert all(len(set(decision.options)) == len(decision.options) > 0 for decision in space.decisions)
        assert sorted(place for part in space.parts for place in part) == list(range(len(names)))

    def test_canonical_is_an_idempotent_member(self) -> None:
        """The representative is a member of the root space and represents itself."""
        space = self.make_space()
        for architecture in self.samples(space):
            canonical = space.canonical(architecture)
            assert canonical in space.root, canonical
            assert space.canonical(canonical) == canonical

    def test_active_says_something_of_every_decision(self) -> None:
        """One yes or no a decision."""
        space = self.make_space()
        for architecture in self.samples(space):
            said = space.active(architecture.options)
            assert len(said) == len(space.decisions)
            assert all(type(is_active) is bool for is_active in said)

    def test_shared_form_is_blind_to_what_is_inactive(self) -> None:
        """It is hashable, the same each time, and does not change with a decision that is active in neither case."""
        space = self.make_space()
        for architecture in self.samples(space)[:10]:
            form, active = space.shared_form(architecture), space.active(architecture.options)
            assert hash(form) == hash(space.shared_form(space.parse(str(architecture))))
            for other in space.neighbours(architecture):
                pairs = zip(architecture.options, other.options, active, space.active(other.options), strict=True)
                if all(x == y or not (live or lives) for x, y, live, lives in pairs):
                    assert space.shared_form(other) == form, other

    def test_classes_are_drawn_equally(self) -> None:
        """`sample_class` draws classes uniformly, and the members of a class too."""
        small, _ = self.small_subspace(self.make_space())
        classes = small.classes()
        assert sum(map(len, classes.values())) == small.size
        rng = np.random.default_rng(6)
        drawn = [small.sample_class(rng) for _ in range(100 * small.size)]
        self.assert_drawn_equally([small.canonical(architecture).text for architecture in drawn], list(classes))
        for name, members in classes.items():
            self.assert_drawn_equally([one for one in drawn if small.canonical(one).text == name], list(members))

    def test_partitions_are_disjoint_and_cover(self) -> None:
        """Every architecture is in exactly one part, and the sizes add up."""
        space = self.make_space()
        names = self.free_decisions(space)
        for split in ([names[0]], [names[0], names[-1]]):
            parts = space.partition(split)
            assert sum(part.size for part in parts) == space.size
            assert len({part.label for part in parts}) == len(parts)
            for architecture in self.samples(space):
                assert sum(architecture in part for part in parts) == 1, architecture

    def test_subspace_of_a_subspace_and_its_root(self) -> None:
        """Restrictions add up, and the root is the whole space."""
        space = self.make_space()
        first, second = (space.decision(name) for name in self.free_decisions(space)[:2])
        part = space.subspace({first.name: first.options[:1]}).subspace({second.name: second.options[1:]})
        assert part.decision(first.name).options == first.options[:1]
        assert part.decision(second.name).options == second.options[1:]
        assert part.root.decisions == space.root.decisions
        assert part.root.size == space.root.size
        assert space.root.label == "root"
        assert first.name in part.label
        assert second.name in part.label

    def test_subspace_of_one_architecture(self) -> None:
        """`only` leaves the one architecture."""
        space = self.make_space()
        for architecture in self.samples(space)[:5]:
            alone = space.only(architecture)
            assert alone.size == 1
            assert list(alone.enumerate()) == [architecture]
            assert alone.sample(np.random.default_rng(0)) == architecture

    def test_pickle_round_trip(self) -> None:
        """A space and its subspaces can be sent to another process."""
        space = self.make_space()
        small, centre = self.small_subspace(space)
        for one in (space, small):
            copy = pickle.loads(pickle.dumps(one))
            assert copy.decisions == one.decisions
            assert copy.root.decisions == one.root.decisions
            assert self.samples(copy) == self.samples(one)
        assert pickle.loads(pickle.dumps(centre)) == centre

    def test_bad_names_and_texts_are_explained(self) -> None:
        """Wrong decisions, options, numbers of options and texts raise the errors that a user can read."""
        space = self.make_space()
        decision, sample = space.decisions[0], self.samples(space)[0]
        self.assert_explains(UnknownNameError, "has no decision 'nowhere'", lambda: space.decision("nowhere"))
        self.assert_explains(UnknownNameError, "has no decision 'nowhere'", lambda: space.subspace({"nowhere": ["x"]}))
        self.assert_explains(
            UnknownNameError, "has no option 'nothing'", lambda: space.subspace({decision.name: ["nothing"]})
        )
        self.assert_explains(UnknownNameError, "without any option", lambda: space.subspace({decision.name: []}))
        self.assert_explains(UnknownNameError, "more than once", lambda: space.partition([decision.name] * 2))
        self.assert_explains(
            ArchitectureError,
            f"decisions, got {len(sample.options) + 1} options",
            lambda: space.make([*sample.options, ""]),
        )
        self.assert_explains(
            ArchitectureError, "has no option 'nothing'", lambda: space.make(["nothing", *sample.options[1:]])
        )
        for text in ("", "not an architecture", f"{sample.text}?", sample.text[:-1], sample.text[1:]):
            self.assert_explains(ArchitectureError, "", functools.partial(space.parse, text))
