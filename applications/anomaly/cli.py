"""``hepflows anomaly ...``: arguments in, the functions of the package called, a few lines out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hepflows import console
from hepflows.applications.anomaly.simulate.command import simulate
from hepflows.launch import use_threads
from hepflows.options import Overwrite, Resume, Seed, Threads

if TYPE_CHECKING:
    from hepflows.applications.anomaly.config import SearchConfig
    from hepflows.applications.anomaly.data import Selection

app = typer.Typer(
    help="Anomaly detection: scores of events and p-values of resonances, without a signal model.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


Events = Annotated[Path, typer.Argument(help="Events: .h5, .hdf5, .root, .csv or .parquet.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)]
Resonance = Annotated[str, typer.Option(help="Column of the resonant variable.", show_default=False)]
Features = Annotated[str, typer.Option(help="Columns of the features: a,b,c.", show_default=False)]
Units = Annotated[str, typer.Option(help="Unit of the resonant variable, TeV or GeV (or any text, such as mas/yr).")]
Key = Annotated[str | None, typer.Option(help="HDF5 frame or group, or ROOT tree, where there are several.")]
Label = Annotated[
    str, typer.Option(help="Column of the truth (1 signal, 0 background); auto takes 'label' if it is there; none.")
]
Weight = Annotated[str | None, typer.Option(help="Column of event weights.")]
MethodName = Annotated[
    str | None,
    typer.Option(
        "--method",
        help="cathode, anode, cwola, lacathode, ranode, idealised or supervised; that of the preset where not given.",
    ),
]
Preset = Annotated[str, typer.Option(help="default, quick, or the path of a YAML file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Replace one value, for example density.blocks=4; repeatable.", show_default=False),
]
Jobs = Annotated[
    int | None,
    typer.Option(help="Folds at the same time, each in a process of one thread; all cores where not given.", min=1),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="File to write: .hdf5, .root, .csv or .parquet.", show_default=False)
]


@app.callback()
def anomaly() -> None:
    """Anomaly detection: scores of events and p-values of resonances, without a signal model."""


@app.command()
def run(
    events: Events,
    out: Out,
    resonance: Resonance,
    features: Features,
    signal_region: Annotated[
        str, typer.Option(help="low:high of the resonant variable, in the stated unit.", show_default=False)
    ],
    sidebands: Annotated[
        str | None, typer.Option(help="start:stop, outer edges of the sidebands; all data where not given.")
    ] = None,
    units: Units = "",
    key: Key = None,
    label: Label = "auto",
    weight: Weight = None,
    background: Annotated[
        Path | None, typer.Option(help="More events, all background, for the idealised and supervised detectors.")
    ] = None,
    method: MethodName = None,
    preset: Preset = "default",
    settings: Settings = None,
    seed: Seed = 1,
    seeds: Annotated[
        int, typer.Option(help="So many runs, with this seed and the next ones: medians and 68 % bands.", min=1)
    ] = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    jobs: Jobs = None,
    threads: Threads = None,
) -> None:
    """Learn the background from the sidebands, score every event, judge and write a report.

    Example: `hepflows anomaly run events.h5 --key df --units TeV --resonance mJJ --features mJ1,dmJ,tau21_1,tau21_2
    --signal-region 3.3:3.7 --method cathode --out runs/lhco`
    """
    from hepflows.applications.anomaly import Regions, pipeline
    from hepflows.applications.anomaly.seeds import run_seeds

    use_threads(threads)
    what = (events, out, _selection(resonance, features, units, label, weight, key))
    where, config = Regions.parse(signal_region, sidebands), _config(preset, settings, method)
    more: Any = {"background": background, "resume": resume, "overwrite": overwrite, "jobs": _jobs(jobs)}
    with console.interruptible(out):
        if seeds > 1:
            metrics = run_seeds(*what, where, config, range(seed, seed + seeds), **more)
        else:
            metrics = pipeline.run(*what, where, config, seed, **more)
    console.table(_rows(metrics))
    _say_outside(metrics.get("n_outside_fitted_range", 0))
    console.say(f"report: {out / 'report.html'}")


@app.command()
def scan(
    events: Events,
    out: Out,
    resonance: Resonance,
    features: Features,
    windows: Annotated[
        str,
        typer.Option(
            help="start:stop:width or start:stop:width:step; windows slide by half a width.", show_default=False
        ),
    ],
    units: Units = "",
    key: Key = None,
    label: Label = "auto",
    weight: Weight = None,
    method: MethodName = None,
    preset: Preset = "default",
    settings: Settings = None,
    seed: Seed = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    jobs: Jobs = None,
    threads: Threads = None,
) -> None:
    """Search in sliding windows: a run each, then local and global significance.

    Example: `hepflows anomaly scan events.h5 --windows 2.9:4.1:0.4 --units TeV --resonance mJJ --features mJ1,dmJ --out runs/scan`
    """
    from hepflows.applications.anomaly import scan as scanning

    use_threads(threads)
    with console.interruptible(out):
        found = scanning.scan(
            events,
            out,
            _selection(resonance, features, units, label, weight, key),
            scanning.windows(windows),
            _config(preset, settings, method),
            seed,
            resume=resume,
            overwrite=overwrite,
            jobs=_jobs(jobs),
        )
    for row in found["windows"]:
        low, high = row["window"]
        z = "–" if row["significance"] is None else f"{row['significance']:+.2f}"
        console.say(f"{low:g} to {high:g}: local significance {z}")
    if found["global_p_value"] is not None:
        console.say(f"global p-value {found['global_p_value']:.3g} for {found['n_windows']} windows")


@app.command()
def score(
    model: Annotated[Path, typer.Argument(help="Folder of a run, or its model.safetensors.", show_default=False)],
    events: Events,
    output: Output,
    threads: Threads = None,
) -> None:
    """Add a column of scores to a file of events; their order and their columns stay.

    Example: `hepflows anomaly score runs/lhco events.root -o scored.root`
    """
    from hepflows.applications.anomaly import pipeline

    use_threads(threads)
    n, outside = pipeline.score(model, events, output)
    console.say(f"{n} events in {output}, column {pipeline.SCORE}")
    _say_outside(outside)


@app.command()
def convert(
    events: Annotated[
        Path, typer.Argument(help="Raw particles, as the LHC Olympics publish them.", show_default=False)
    ],
    output: Output,
    key: Key = None,
    radius: Annotated[float, typer.Option(help="R of the anti-kt algorithm.")] = 1.0,
    jet_pt: Annotated[float, typer.Option(help="Smallest pT of both jets in GeV.")] = 200.0,
    jet_eta: Annotated[float, typer.Option(help="Largest |eta| of both jets.")] = 2.5,
    leading_pt: Annotated[float, typer.Option(help="Smallest pT of the harder jet in GeV.")] = 1200.0,
) -> None:
    """Cluster raw particles into jets, with FastJet, and write the columns of a features file in GeV.

    Example: `hepflows anomaly convert events_anomalydetection_v2.h5 -o features.hdf5`
    """
    from hepflows.applications.anomaly.convert import convert as convert_file
    from hepflows.applications.anomaly.jets import JetRules

    rules = JetRules(radius, jet_pt, jet_eta, leading_pt)
    with console.progress("clustering") as update:
        kept, dropped = convert_file(events, output, rules, key=key, progress=update)
    console.say(f"{kept} events in {output}; {dropped} without a pair of jets left out")


app.command()(simulate)


def _selection(resonance: str, features: str, units: str, label: str, weight: str | None, key: str | None) -> Selection:
    from hepflows.applications.anomaly.data import Selection

    names = tuple(name.strip() for name in features.split(",") if name.strip())
    return Selection(resonance, names, units=units, label=label, weight=weight, key=key)


def _config(preset: str, settings: list[str] | None, method: str | None) -> SearchConfig:
    from hepflows.applications.anomaly.config import load_config

    return load_config(preset, [*(settings or []), *([] if method is None else [f"method={method}"])])


def _jobs(jobs: int | None) -> int:
    if jobs is not None:
        return jobs
    # a batch system may grant fewer cores than the machine has
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say_outside(count: int) -> None:
    if count:
        console.say(
            f"{count} events have a feature outside of the range that was learnt: they are scored as if at its edge"
        )


def _rows(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers a person looks for first."""

    def text(key: str, digits: int = 3) -> str:
        value, error = metrics.get(key), metrics.get(f"{key}_std")
        if value is None:
            return "–"
        return f"{value:.{digits}g}" if error is None else f"{value:.{digits}f} ± {error:.{digits}f}"

    names = {
        "significance": "local significance",
        "p_value": "p-value",
        "auc_sideband": "AUC sampled against real sidebands",
        "auc_sideband_floor": "  floor of the same",
        "auc_signal_region": "AUC sampled against true background in the window",
        "sculpting_p_value": "sculpting, p-value",
        "max_sic": "largest SIC",
        "auc": "AUC in the signal region",
    }
    return [(title, text(key)) for key, title in names.items() if key in metrics]


if __name__ == "__main__":
    from hepflows import cli

    cli.app.add_typer(app, name="anomaly")
    cli.main()
