"""``hepflows neutrino ...``: arguments in, the functions of the package called, a few lines out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from hepflows import console
from hepflows.launch import use_threads
from hepflows.options import Overwrite, Resume, Seed, Threads

app = typer.Typer(
    help="Neutrino momenta in top-quark pairs: posteriors of each event, by a conditional flow.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

EventFile = Annotated[Path, typer.Argument(help="Events: .h5 in the layout of nu-Flows, or .root.", show_default=False)]
Columns = Annotated[
    str | None,
    typer.Option(
        help="ROOT: which branch is what: nanoaod, simulated, or the path of a YAML file; found out where it can be."
    ),
]
Units = Annotated[str | None, typer.Option(help="Unit of energies in the file: GeV, MeV or TeV.")]


@app.callback()
def neutrino() -> None:
    """Neutrino momenta in top-quark pairs: posteriors of each event, by a conditional flow."""


@app.command()
def run(
    events: EventFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)],
    channel: Annotated[
        str | None, typer.Option(help="semileptonic or dilepton; that of the preset where not given.")
    ] = None,
    columns: Columns = None,
    units: Units = None,
    preset: Annotated[str, typer.Option(help="default, glow, nuflows, quick, or the path of a YAML file.")] = "default",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Replace one value, for example posterior.blocks=4; repeatable.", show_default=False
        ),
    ] = None,
    seed: Seed = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Train nu-Flow and the regression, judge them and the W-mass constraint on events that none has seen, write a report.

    Example: `hepflows neutrino run ttbar.root --out runs/nu`
    """
    from hepflows.applications.neutrino import pipeline
    from hepflows.applications.neutrino.config import load_config

    use_threads(threads)
    chosen = [] if channel is None else [f"channel={channel}"]
    with console.interruptible(out):
        metrics = pipeline.run(
            events, out, load_config(preset, [*(settings or []), *chosen]), seed,
            columns=columns, units=units, resume=resume, overwrite=overwrite,
        )  # fmt: skip
    console.table(_rows(metrics))
    console.say(f"report: {out / 'report.html'}")


@app.command()
def infer(
    model: Annotated[Path, typer.Argument(help="Folder of a run, or its model.safetensors.", show_default=False)],
    events: EventFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .root or .hdf5.", show_default=False)],
    samples: Annotated[int, typer.Option(help="Draws an event.", min=1)] = 256,
    no_samples: Annotated[bool, typer.Option("--no-samples", help="Write mode, mean and intervals only.")] = False,
    columns: Columns = None,
    units: Units = None,
    seed: Seed = 1,
    threads: Threads = None,
) -> None:
    """Neutrinos for a file of events, in its order: mode, mean, median, intervals of 68 and 95 %, draws, and both quadratic roots.

    Example: `hepflows neutrino infer runs/nu events.root --samples 256 -o neutrinos.root`
    """
    from hepflows.applications.neutrino import inference

    use_threads(threads)
    done = inference.infer(
        model, events, output, samples=samples, seed=seed, columns=columns, units=units, keep_samples=not no_samples
    )
    console.say(f"{done.events} events in {output}")
    for note in done.notes:
        console.say(note)
    if done.outside:
        console.say(
            f"{done.outside} events lie farther out than all training events: what is said about them is an extrapolation "
            "(column outside_training_range)"
        )


@app.command()
def simulate(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File to write: .h5 in the layout of nu-Flows, or .root.", show_default=False
        ),
    ],
    n: Annotated[int, typer.Option("--events", "-n", help="Events that pass the selection.", min=1)] = 200_000,
    channel: Annotated[str, typer.Option(help="semileptonic or dilepton.")] = "semileptonic",
    engine: Annotated[
        str, typer.Option(help="fast: own decay chain and smearing; pythia: Pythia 8 and fastjet (extra pythia).")
    ] = "fast",
    lepton_pt: Annotated[float, typer.Option(help="Least transverse momentum of each lepton, GeV.", min=0)] = 25.0,
    jets: Annotated[
        int | None, typer.Option(help="Least number of jets; 4, or 2 with two leptons, where not given.", min=0)
    ] = None,
    b_jets: Annotated[int, typer.Option(help="Least number of jets with a b tag.", min=0)] = 0,
    seed: Seed = 1,
) -> None:
    """Simulate top-quark pairs with their true neutrinos.

    Example: `hepflows neutrino simulate --engine fast --events 250000 -o ttbar.root`
    """
    from hepflows.applications.neutrino.simulate.command import simulate_file
    from hepflows.applications.neutrino.simulate.fast import Channel, Selection

    least = (2 if channel == "dilepton" else 4) if jets is None else jets
    made = simulate_file(
        output, n, channel=cast("Channel", channel), engine=engine,
        selection=Selection(lepton_pt=lepton_pt, jets=least, b_jets=b_jets), seed=seed,
    )  # fmt: skip
    console.say(f"{made} {channel} events in {output}")


def _rows(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers a person looks for first."""
    rows = []
    if metrics["auc"] is not None:
        rows.append(("AUC, drawn against true neutrinos", f"{metrics['auc']:.3f} ± {metrics['auc_std']:.3f}"))
        rows.append(("  floor of the same", f"{metrics['auc_floor']:.3f} ± {metrics['auc_floor_std']:.3f}"))
    rows.append(("largest error of the coverage", f"{metrics['coverage_error_max']:.3f}"))
    rows.append(("log density of the truth", f"{metrics['log_prob']:.3f} ± {metrics['log_prob_std']:.3f}"))
    for name, values in metrics["methods"].items():
        root = f", right root {values['root_efficiency']:.3f}" if "root_efficiency" in values else ""
        rows.append((f"pz, 68 % half-width, {name}", f"{values['pz']['width']:.1f} GeV{root}"))
    return rows


if __name__ == "__main__":
    from hepflows import cli

    cli.app.add_typer(app, name="neutrino")
    cli.main()
