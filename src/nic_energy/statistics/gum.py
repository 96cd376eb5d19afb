"""The vocabulary of the GUM (JCGM 100:2008) for a budget of uncorrelated components.

Sensitivity coefficients are not kept apart: a component is given as its contribution
|c_i| * u(x_i) to the uncertainty of the result, in the unit of the result or as a share of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special


@dataclass(frozen=True)
class Component:
    """One contribution to the uncertainty of a result.

    Args:
        name: what it is, for people.
        standard_uncertainty: u, in the unit that all components of a budget share.
        degrees_of_freedom: of u; infinite for a type B evaluation taken as exactly known (G.4.2).

    Raises:
        ValueError: u is negative or not finite, or the degrees of freedom are not positive. A
            component that is not known is left out by the caller, who then has to say so.
    """

    name: str
    standard_uncertainty: float
    degrees_of_freedom: float = math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.standard_uncertainty) and self.standard_uncertainty >= 0):
            raise ValueError(
                f"{self.name}: a standard uncertainty is a finite number from 0, "
                f"not {self.standard_uncertainty}."
            )
        if not self.degrees_of_freedom > 0:
            raise ValueError(
                f"{self.name}: degrees of freedom are positive, not {self.degrees_of_freedom}."
            )


@dataclass(frozen=True)
class Budget:
    """All components of the uncertainty of one result, taken as uncorrelated."""

    components: Sequence[Component]

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", tuple(self.components))

    @property
    def combined_standard_uncertainty(self) -> float:
        """Root sum of squares of the components (5.1.2); 0 of an empty budget."""
        return math.hypot(*(part.standard_uncertainty for part in self.components))

    @property
    def effective_degrees_of_freedom(self) -> float:
        """Welch-Satterthwaite (G.4.1), not rounded; infinite where nothing is uncertain."""
        combined = self.combined_standard_uncertainty
        if combined == 0:
            return math.inf
        total = sum(
            (part.standard_uncertainty / combined) ** 4 / part.degrees_of_freedom
            for part in self.components
        )
        return math.inf if total == 0 else 1 / total

    def coverage_factor(self, level: float = 0.95) -> float:
        """Student's t, two-sided, at the effective degrees of freedom (G.3.2).

        Raises:
            ValueError: `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"a level of confidence lies between 0 and 1, not at {level}.")
        return float(special.stdtrit(self.effective_degrees_of_freedom, (1 + level) / 2))

    def expanded_uncertainty(self, level: float = 0.95) -> float:
        """Coverage factor times combined standard uncertainty (6.2.1), in the unit of u."""
        return self.coverage_factor(level) * self.combined_standard_uncertainty

    @property
    def dominating(self) -> str | None:
        """Name of the component with the largest u, the first of equals; None if all are 0."""
        largest = max(self.components, key=lambda part: part.standard_uncertainty, default=None)
        return largest.name if largest and largest.standard_uncertainty > 0 else None
