"""``hepflows airshower ...``: arguments in, the functions of the package called, a few lines out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hepflows import console
from hepflows.launch import use_threads
from hepflows.options import Overwrite, Resume, Seed, Threads

if TYPE_CHECKING:
    from hepflows.applications.airshower.observations import Observation

app = typer.Typer(
    help="Sources of cosmic rays from air showers: posteriors from spectrum and Xmax.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Observations = Annotated[
    str, typer.Option(help="Counts: a file of `hepflows airshower observations`, or auger for the public data.")
]
Preset = Annotated[str, typer.Option(help="default, cinn, quick, or the path of a YAML file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Replace one value, for example universes=50000; repeatable.", show_default=False),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)]


@app.callback()
def airshower() -> None:
    """Sources of cosmic rays from air showers: posteriors from spectrum and Xmax."""


@app.command()
def run(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)],
    observations: Observations = "auger",
    preset: Preset = "default",
    settings: Settings = None,
    mcmc: Annotated[
        bool, typer.Option("--mcmc", help="Sample the observation with a Markov chain, too (emcee).")
    ] = False,
    seed: Seed = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Simulate universes, learn the posterior, check it, infer the sources and write a report.

    Example: `hepflows airshower run --observations auger.h5 --out runs/auger`
    """
    from hepflows.applications.airshower import pipeline
    from hepflows.applications.airshower.config import load_config

    use_threads(threads)
    config = load_config(preset, [*(settings or []), *(["chain.observation=true"] if mcmc else [])])
    with console.interruptible(out):
        metrics = pipeline.run(
            _observation(observations),
            out,
            config,
            seed,
            source=None if observations == "auger" else Path(observations),
            resume=resume,
            overwrite=overwrite,
        )
    console.table(_rows(metrics))
    console.say(f"report: {out / 'report.html'}")


@app.command()
def infer(
    model: Annotated[Path, typer.Argument(help="Folder of a run, or its model.safetensors.", show_default=False)],
    output: Output,
    observations: Observations = "auger",
    samples: Annotated[int, typer.Option("--samples", "-n", help="Posterior draws.", min=1)] = 10_000,
    seed: Seed = 1,
    threads: Threads = None,
) -> None:
    """Write posterior draws of another observation, with the weights of the exact likelihood.

    Example: `hepflows airshower infer runs/auger --observations other.h5 -o posterior.hdf5`
    """
    from hepflows.applications.airshower import pipeline

    use_threads(threads)
    found = pipeline.infer_file(model, _observation(observations), output, samples, seed)
    if found.metrics["out_of_range"] > 1:
        console.say(
            f"warning: unlike all universes of the training ({found.metrics['out_of_range']:.2f} times as far out)"
        )
    share = found.metrics["exact_efficiency"]
    console.say(
        f"{samples} draws in {output}, effective share {share:.1%} (the flow alone {found.metrics['efficiency']:.1%})"
    )


@app.command()
def simulate(
    output: Output,
    universes: Annotated[int, typer.Option("--universes", "-n", help="How many.", min=1)] = 10_000,
    preset: Preset = "default",
    settings: Settings = None,
    seed: Seed = 1,
    threads: Threads = None,
) -> None:
    """Simulate universes from the prior: parameters and 420 counts each.

    Example: `hepflows airshower simulate -n 100000 -o universes.hdf5`
    """
    from hepflows.applications.airshower import pipeline
    from hepflows.applications.airshower.config import load_config

    use_threads(threads)
    pipeline.simulate(output, universes, load_config(preset, settings), seed)
    console.say(f"{universes} universes in {output}")


@app.command()
def observations(output: Output) -> None:
    """Write the public data of the Pierre Auger Observatory in the layout that `--observations` takes.

    Example: `hepflows airshower observations -o auger.h5`
    """
    from hepflows.applications.airshower.observations import auger, write_observation

    found = auger()
    write_observation(output, found)
    console.say(f"{int(found.spectrum.sum())} events of the spectrum and {int(found.xmax.sum())} of Xmax in {output}")


@app.command()
def convert(
    matrix: Annotated[Path, typer.Argument(help="crpropa3_..._IRB_*.npz of astrotools 1.5.0.", show_default=False)],
    output: Output,
) -> None:
    """Reduce a propagation matrix of astrotools to the response that `--set response=` takes.

    Example: `hepflows airshower convert crpropa3__emin_18.5__emax_21.0__IRB_Kneiske04.npz -o kneiske.hdf5`
    """
    from hepflows.applications.airshower.convert import convert as reduce

    console.say(f"response {reduce(matrix, output).model} in {output}")


def _observation(where: str) -> Observation:
    from hepflows.applications.airshower.observations import auger, read_observation

    return auger() if where == "auger" else read_observation(Path(where))


def _rows(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers a person looks for first."""
    seen = metrics["observation"]
    rows = [
        (name, f"{one['exact_mean']:.3f} ± {one['exact_std']:.3f}  (flow alone {one['mean']:.3f} ± {one['std']:.3f})")
        for name, one in seen["parameters"].items()
    ]
    rows += [
        ("effective share", f"{seen['exact_efficiency']:.1%}  (flow alone {seen['efficiency']:.1%})"),
        ("predictive p-value", f"{metrics['predictive_p_value']:.3g}"),
        ("coverage error", f"{metrics['coverage_error_max']:.3f}"),
        ("information gain", f"{metrics['information_gain']:.2f} ± {metrics['information_gain_std']:.2f} nats"),
    ]
    if "c2st" in seen:
        rows.append(("C2ST of the flow against the chain", f"{seen['c2st']:.3f} ± {seen['c2st_std']:.3f}"))
        if seen["c2st_exact"] is not None:
            rows.append(("  of the adapted draws", f"{seen['c2st_exact']:.3f} ± {seen['c2st_exact_std']:.3f}"))
    if seen["out_of_range"] > 1:
        rows.append(("warning", f"unlike all universes of the training ({seen['out_of_range']:.2f} times as far out)"))
    return rows


if __name__ == "__main__":
    from hepflows import cli

    cli.app.add_typer(app, name="airshower")
    cli.main()
