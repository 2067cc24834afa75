"""How a search chooses options, and which trainings it ends early."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from seqvision.config import TrainOptions
from seqvision.errors import StudyError
from seqvision.tuning.search_space import (
    Space,
    Values,
    called,
    combinations,
    in_order,
    is_active,
    value_of,
)
from seqvision.tuning.study import best_trial, counts, is_taken, row_of

_LARGEST_GRID = 10_000
# A share of the trainings is chosen at random before there is something to learn from.
_RANDOM_TRIALS = 10


class Seeded(BaseSampler):
    """A sampler whose draws depend on the seed and the number of a trial alone.

    With one random state for all trials, a resumed search would draw its first trials again,
    and so would every process that joins it.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        """Draw as what `make` returns for a seed."""
        self._make = make
        self._seed = seed
        self._sampler = make(seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Begin anew."""
        sequence = np.random.SeedSequence([self._seed, trial.number])
        self._sampler = self._make(int(sequence.generate_state(1)[0]))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the dimensions that are drawn together."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw them."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one of the others."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Pass the result of a trial to the sampler."""
        self._sampler.after_trial(study, trial, state, values)


class GridSampler(BaseSampler):
    """Tries every combination once, in an order that depends on the seed.

    optuna's own grids take a trial that was killed for one that was tried, and know no options
    that matter only together with others.
    """

    def __init__(self, grid: Sequence[Values], space: Space) -> None:
        """Try the combinations of a grid, in its order."""
        self._grid = grid
        self._space = space

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all dimensions."""
        return {name: each.on_a_grid().distribution() for name, each in self._space.items()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next combination that no process has tried or is trying.

        Processes that sample at the same moment have trials of other numbers, and search from
        other positions.
        """
        others = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        taken = {key(each.params) for each in others if is_taken(each, others)}
        count = len(self._grid)
        for index in range(trial.number, trial.number + count):
            if key(self._grid[index % count]) not in taken:
                return self._grid[index % count]
        return self._grid[trial.number % count]

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Never called: all dimensions are drawn together."""
        raise AssertionError(param_name)


class CoordinateSampler(RandomSampler):
    """Changes one option of the best trial so far: coordinate ascent, for few trials.

    The values that were tried least come first, in the order of the space; a number is doubled and
    halved. Where every neighbour of the best trial was tried, options are drawn at random.
    """

    def __init__(self, space: Space, base: TrainOptions) -> None:
        """Search a space from the options of a training on."""
        super().__init__(seed=base.training.seed)
        self._space = space
        self._base = base

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all dimensions."""
        return {name: each.distribution() for name, each in self._space.items()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return a neighbour of the best trial that no process has tried or is trying."""
        trials = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        best = best_trial([row_of(each) for each in trials])
        if best is None:
            return {}
        tried = [each.params for each in trials if counts(each)]
        taken = {key(params) for params in tried}
        neighbours = [
            (sum(_has(params, name, value) for params in tried), neighbour)
            for name, value in self._changes(best.params)
            if key(neighbour := self._complete({**best.params, name: value})) not in taken
        ]
        # Of those that were tried as often, the first one.
        return min(neighbours, key=lambda each: each[0])[1] if neighbours else {}

    def _changes(self, best: Values) -> Iterator[tuple[str, Any]]:
        """Yield the options of the best trial with another value each."""
        for name, dimension in self._space.items():
            if name in best:
                yield from ((name, value) for value in dimension.near(best[name]))

    def _complete(self, labels: Values) -> Values:
        """Return the options that have an effect, those that now have one as usual."""
        found: Values = {}
        chosen: Values = {}
        for name, dimension in in_order(self._space):
            if not is_active(name, chosen, self._base):
                continue
            usual = called(value_of(self._base, name))
            label = labels.get(name, usual)
            if not dimension.holds(dimension.value(label)):
                label = dimension.near(label)[0]
            found[name], chosen[name] = label, dimension.value(label)
        return found


def _has(params: Values, name: str, value: Any) -> bool:
    """Return whether a trial had this value of an option."""
    return name in params and bool(params[name] == value)


def key(values: Values) -> str:
    """Return a text that is the same for the same values."""
    return json.dumps(values, sort_keys=True)


def make_option_grid(space: Space, base: TrainOptions) -> list[Values]:
    """Return the combinations of a grid, in an order that depends on the seed alone.

    Raises:
        StudyError: they are too many.
    """
    grid = []
    for values in combinations(space, base):
        grid.append(values)
        if len(grid) > _LARGEST_GRID:
            raise StudyError(
                f"--sampler grid: more than {_LARGEST_GRID} combinations; search less with "
                "--space, or with --sampler tpe"
            )
    random.Random(base.training.seed).shuffle(grid)
    return grid


def make_sampler(
    name: str, space: Space, grid: Sequence[Values], base: TrainOptions
) -> BaseSampler:
    """Return what chooses the options of a trial."""
    seed = base.training.seed
    if name == "grid":
        return GridSampler(grid, space)
    if name == "coordinate":
        return CoordinateSampler(space, base)
    if name == "random":
        return Seeded(lambda each: RandomSampler(seed=each), seed)
    return Seeded(
        lambda each: TPESampler(seed=each, multivariate=True, n_startup_trials=_RANDOM_TRIALS), seed
    )


def make_pruner(name: str, epochs: int, warmup: float) -> BasePruner:
    """Return what ends a training early.

    Args:
        epochs: of a whole training.
        warmup: share of them in which the learning rate rises, and figures mean little.
    """
    if name == "none":
        return NopPruner()
    first = max(1, round(epochs * warmup))
    if name == "median":
        return MedianPruner(n_startup_trials=4, n_warmup_steps=first)
    return HyperbandPruner(min_resource=min(first, epochs), max_resource=epochs)
