"""What somebody may ask of drift detection: which algorithms, how many must agree, how alert."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.operation import Effects, Monitoring


class Algorithm(StrEnum):
    """The six detectors."""

    KS = "ks"
    PSI = "psi"
    WASSERSTEIN = "wasserstein"
    ADWIN = "adwin"
    PAGE_HINKLEY = "page_hinkley"
    DDM = "ddm"


class Alertness(StrEnum):
    """How small an effect is asked about."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


_ALSO_CALLED = {"emd": Algorithm.WASSERSTEIN, "earth_movers_distance": Algorithm.WASSERSTEIN}


@dataclass(frozen=True)
class DetectionConfig:
    """Which detectors vote, how many votes confirm (None: as the policy says), how alert."""

    algorithms: tuple[Algorithm, ...] = tuple(Algorithm)
    quorum: float | None = None
    sensitivity: Alertness = Alertness.MEDIUM

    @classmethod
    def parse(cls, algorithms: str, quorum: float | None, sensitivity: str) -> DetectionConfig:
        """From words: `all`, or names with commas between them.

        Raises:
            InvalidInput: an algorithm or a sensitivity that is not known.
        """
        if sensitivity not in list(Alertness):
            raise InvalidInput(
                f"a sensitivity of {sensitivity!r}",
                field="sensitivity",
                remedy=f"one of {', '.join(Alertness)}",
            )
        if algorithms == "all":
            return cls(quorum=quorum, sensitivity=Alertness(sensitivity))
        named = [name.strip().lower().replace("-", "_") for name in algorithms.split(",")]
        chosen = [_ALSO_CALLED.get(name, name) for name in named if name]
        for name in chosen:
            if name not in list(Algorithm):
                raise InvalidInput(
                    f"there is no algorithm {name!r}",
                    field="algorithms",
                    remedy=f"all, or some of {', '.join(Algorithm)}",
                )
        if not chosen:
            raise InvalidInput("no algorithm is named", field="algorithms")
        return cls(tuple(map(Algorithm, chosen)), quorum, Alertness(sensitivity))


def configured(demands: Monitoring, config: DetectionConfig) -> Monitoring:
    """The monitoring slice as somebody asked for it.

    Raises:
        InvalidInput: the detectors that are left cannot reach the quorum.
    """
    factor = {
        Alertness.LOW: demands.sensitivity.low_factor,
        Alertness.MEDIUM: demands.sensitivity.medium_factor,
        Alertness.HIGH: demands.sensitivity.high_factor,
    }[config.sensitivity]
    detectors = tuple(d for d in demands.quorum.detectors if d.name in config.algorithms)
    wanted = demands.quorum.min_votes if config.quorum is None else config.quorum
    quorum = demands.quorum.model_copy(update={"detectors": detectors, "min_votes": wanted})
    reach = quorum.votes([detector.name for detector in detectors])
    if config.quorum is not None and reach < wanted:
        raise InvalidInput(
            f"a quorum of {wanted:g} cannot be reached: these detectors have {reach:g} votes",
            field="quorum",
            remedy="name more algorithms, of other groups, or ask for fewer votes",
        )
    if reach < wanted:  # a policy's quorum was made for all detectors
        quorum = quorum.model_copy(update={"min_votes": reach})
    return demands.model_copy(
        update={
            "quorum": quorum,
            "effects_global": _scaled(demands.effects_global, factor),
            "effects_tenant": _scaled(demands.effects_tenant, factor),
            "effects_dataset": _scaled(demands.effects_dataset, factor),
        }
    )


def _scaled(effects: Effects, factor: float) -> Effects:
    return effects.model_copy(
        update={
            "ks_d": min(1.0, effects.ks_d * factor),
            "wasserstein_scaled": effects.wasserstein_scaled * factor,
            "psi_nats": effects.psi_nats * factor,
            "category_mass": min(1.0, effects.category_mass * factor),
        }
    )
