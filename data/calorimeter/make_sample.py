"""Cut a small sample out of a large shower file, in CaloGAN's HDF5 and ROOT layouts.

    python data/calorimeter/make_sample.py SOURCE OUTPUT [OUTPUT ...] --n 3000 --attribute particle=e+

SOURCE is a file, folder or glob of showers in CaloGAN's layouts; the suffix of an OUTPUT (.hdf5, .root) is its format.
Attributes of the source are kept, those given are added. The fingerprint that is printed is the sha256 of the numbers
themselves (incident energies, voxels, overflow as little-endian float64): the same in every format.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hepflows.applications.calorimeter.data import Showers, read_showers, write_showers
from hepflows.errors import ConfigError, HepflowsError


def fingerprint(showers: Showers) -> str:
    """sha256 of the numbers, whatever file they lie in."""
    digest = hashlib.sha256()
    for values in (showers.energies, showers.voxels, showers.overflow):
        digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return digest.hexdigest()


def make(source: str, outputs: Sequence[str], n: int, attributes: dict[str, str]) -> list[str]:
    """Write the first ``n`` showers of ``source`` to every output; one line about each."""
    sample = read_showers(source, n=n)
    if len(sample) < n:
        message = f"{source} holds {len(sample)} showers and not {n}: ask for fewer with --n"
        raise ConfigError(message)
    lines = []
    for output in outputs:
        write_showers(output, sample, attributes=attributes)
        content = Path(output).read_bytes()
        again = fingerprint(read_showers(output))
        lines.append(f"{output}: {n} showers, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
        lines.append(f"{output}: fingerprint {again}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when all went well, 2 when the user must act."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("outputs", nargs="+", metavar="OUTPUT")
    parser.add_argument("--n", type=int, default=3000, help="number of showers (default: 3000)")
    parser.add_argument("--attribute", action="append", default=[], metavar="KEY=VALUE", help="may be given again")
    options = parser.parse_args(arguments)
    if not all("=" in text for text in options.attribute):
        parser.error(f"--attribute needs KEY=VALUE, but got {options.attribute}")
    attributes = dict(text.partition("=")[::2] for text in options.attribute)
    try:
        lines = make(options.source, options.outputs, options.n, attributes)
    except HepflowsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
