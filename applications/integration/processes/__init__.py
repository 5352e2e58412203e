"""Physics processes: differential cross sections on a box, with momenta, and an integral known without any sampling.

======================  ==  ====================================================================================
name                    d   what is integrated
======================  ==  ====================================================================================
`ee3j_2d`               2   e+e- -> q qbar g over two energy fractions, JADE cut
`ee3j_5d`               5   the same over all of phase space with the angles to the beam, Durham cut
`drell_yan_partonic`    2   q qbar -> photon, Z, Z' -> l+ l- at fixed energy
`drell_yan`             4   the same in colliding protons, over a window of mass
`vector_pair_flat`      8   e+e- -> V V -> four fermions on flat phase space: two thin ridges
`vector_pair`           8   the same with both resonances mapped
`cascade_5`             11  five massless particles with nested massless propagators, in every cyclic order
`cascade_6`             14  six of them
======================  ==  ====================================================================================
"""

from collections.abc import Callable

from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.processes.cascades import cascade
from hepflows.applications.integration.processes.lepton_pairs import drell_yan, drell_yan_partonic, initial_partons
from hepflows.applications.integration.processes.three_jets import ee3j_2d, ee3j_5d
from hepflows.applications.integration.processes.vector_pairs import vector_pair, vector_pair_flat

__all__ = [
    "PROCESSES",
    "cascade",
    "drell_yan",
    "drell_yan_partonic",
    "ee3j_2d",
    "ee3j_5d",
    "initial_partons",
    "vector_pair",
    "vector_pair_flat",
]

PROCESSES: dict[str, Callable[[], Integrand]] = {
    "ee3j_2d": ee3j_2d,
    "ee3j_5d": ee3j_5d,
    "drell_yan_partonic": drell_yan_partonic,
    "drell_yan": drell_yan,
    "vector_pair_flat": vector_pair_flat,
    "vector_pair": vector_pair,
    "cascade_5": lambda: cascade(5),
    "cascade_6": lambda: cascade(6),
}
"""Processes by name; each call gives the `Integrand` with its default parameters."""
