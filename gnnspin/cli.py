"""The command line: ``gnnspin generate | import | train | learn | evaluate | simulate | analyze | ...``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import pydantic
import typer

from gnnspin.core.config_file import one_line, read_config
from gnnspin.core.errors import GnnspinError, InvalidInput
from gnnspin.core.start import starting

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Learned force fields for itinerant magnets.

    From a Hamiltonian to a quench: `generate` labels with an exact solver, `train` a model on them, `evaluate` it on
    labels it has not seen, `simulate` spins with it. `learn` does all this by itself for a Hamiltonian and the runs
    that are meant; `reproduce` runs the whole chain for a known system.
    `gnnspin info CONFIGURATION` documents the keys of each YAML file.""",
)

analyze = typer.Typer(no_args_is_help=True, help="Measure properties of Hamiltonians, models and stored runs.")
app.add_typer(analyze, name="analyze")

Output = Annotated[Path, typer.Option("--output", "-o", help="Where the results go; new, unless --resume.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue what was interrupted in OUTPUT.")]
Configuration = Annotated[Path, typer.Argument(help="YAML file; `gnnspin info` documents its keys.")]


@app.command()
def generate(
    config: Configuration,
    output: Output,
    resume: Resume = False,
    workers: Annotated[
        int | None, typer.Option(help="Local processes; default: one per core, where Dask is installed.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, e.g. tcp://node:8786.")] = None,
) -> None:
    """Solve the electrons exactly for many spin configurations and store the labels (HDF5).

    A configuration of 12 random snapshots:

    ```yaml
    systems: [{kind: triangular, shape: [12, 12]}]
    hamiltonian: {J: 6.0}
    solver: {kT: 0.002, filling: 0.5}
    samplers: [{kind: random, count: 12}]
    ```

    Interrupt with Ctrl-C; `--resume` gives the same store as a run without interruption.
    """
    with starting():
        from gnnspin.labels import GenerateConfig, default_workers
        from gnnspin.labels import generate as run

    n_workers = default_workers() if workers is None else workers
    settings = read_config(config, GenerateConfig)
    store = run(settings, output, n_workers=n_workers, scheduler=scheduler, resume=resume)
    typer.echo(f"{len(store)} labels in {output}")


@app.command("import")
def import_(config: Configuration, output: Output) -> None:
    """Make labels (HDF5) of spins with fields or torques of your own: .npz, .npy, .csv, HDF5, extended XYZ.

    ```yaml
    files: mine.npz
    system: {kind: square, shape: [24, 24]}
    names: {spins: S, fields: B_eff, energies: E}
    field_scale: -1
    trajectory: my quench
    ```

    Conventions that the arrays disprove are errors, suspicious ones warnings, both with the number that says so.
    """
    with starting():
        from gnnspin.datasets.import_config import ImportConfig

    store = read_config(config, ImportConfig).run(output)
    typer.echo(f"{len(store)} labels of {len(store.systems)} systems in {output}")


@app.command()
def train(config: Configuration, output: Output, resume: Resume = False) -> None:
    """Fit a model to labels; leaves model.safetensors, errors, log and figures in the folder OUTPUT.

    ```yaml
    data: {train: labels.h5, validation: 0.15}
    model: {name: spin_cluster_expansion, cutoff: 2.1}
    training: {max_epochs: 100}
    ```

    Ctrl-C stops in good order and keeps the best model so far; `--resume` goes on to the last epoch.
    """
    with starting():
        from gnnspin.plotting import parity_and_histogram
        from gnnspin.training.job import TrainJob
        from gnnspin.training.job import train as run
        from gnnspin.training.symmetries import report

    result = run(read_config(config, TrainJob), output, resume=resume)
    evaluation = result.validation
    parity_and_histogram(evaluation.predicted_torque, evaluation.exact_torque, output / "torque.png")
    typer.echo(report(result.fit.force_field.provenance["symmetries"]))
    typer.echo(f"on validation labels:\n{evaluation}\nwrote {result.path} and {output / 'torque.png'}")
    if result.fit.interrupted:
        typer.echo("interrupted; --resume continues")
        raise typer.Exit(130)


@app.command()
def learn(config: Configuration, output: Output, resume: Resume = False) -> None:
    """Learn a force field of a Hamiltonian for the runs it is meant for: measure, simulate, choose, label, train.

    ```yaml
    hamiltonian: {J: 3.0}
    kT: 0.01
    mu: -3.2
    runs: [{system: {kind: triangular, shape: [96, 96]}, duration: 400, damping: 0.1, kT: 0.01}]
    target: 0.1
    budget: {minutes: 60}
    ```

    Leaves model.safetensors with error bars and report.md in the folder OUTPUT: errors on states that the runs visit
    under the model itself, early, middle and late. Interrupt with Ctrl-C; `--resume` goes on.
    """
    with starting():
        from gnnspin.learning import LearnConfig
        from gnnspin.learning import learn as run

    learned = run(read_config(config, LearnConfig), output, resume=resume)
    typer.echo(f"{learned}\nwrote {output / 'model.safetensors'} and {output / 'report.md'}")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Model file (.safetensors), or pretrained:NAME.")],
    labels: Annotated[str, typer.Argument(help="Label store, or published:NAME.")],
    figure: Annotated[
        Path | None, typer.Option(help="Write a parity plot and error histogram here (png, pdf, svg).")
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Make error bars from these labels, none of them trained on, and save the model so here."),
    ] = None,
) -> None:
    """Print a model's errors on labels: torque first, then field and energy, and whether its error bars hold.

    MODEL is a file, or a folder with a committee.
    """
    with starting():
        from gnnspin.datasets import open_labels
        from gnnspin.force_fields.model_file import load_any, save_calibrated
        from gnnspin.force_fields.uncertainty import coverage
        from gnnspin.plotting import parity_and_histogram
        from gnnspin.training import evaluate as run

    if figure is not None and figure.suffix[1:] not in ("png", "pdf", "svg"):
        raise InvalidInput(f"--figure {figure}: choose a name that ends in .png, .pdf or .svg")
    opened = open_labels(labels)
    if len(opened) == 0:
        raise InvalidInput(f"{labels} holds no labels")
    source = load_any(model, opened.systems[0])
    if calibrate is not None:
        typer.echo(f"error bars from {save_calibrated(source, opened, calibrate).n_spins} spins in {calibrate}")
    result = run(source, opened)
    typer.echo(str(result))
    if source.calibration is not None:
        typer.echo(str(coverage(source, opened)))
    if figure is not None:
        parity_and_histogram(result.predicted_torque, result.exact_torque, figure)
        typer.echo(f"wrote {figure}")


@app.command()
def simulate(config: Configuration, output: Output, resume: Resume = False) -> None:
    """Integrate the Landau-Lifshitz-Gilbert equation; OUTPUT is the trajectory (HDF5).

    ```yaml
    system: {kind: triangular, shape: [96, 96]}
    source: {model: model.safetensors}
    dt: 1.0
    n_steps: 500
    damping: 0.3
    kT: 0.002
    ```

    In place of `model`, `source` takes a `hamiltonian` and a `solver`: the same run with exact electrons.
    """
    with starting():
        from gnnspin.dynamics.job import SimulationConfig

    run = read_config(config, SimulationConfig).run(output, continue_run=resume)
    typer.echo(f"{run.spin_updates_per_second:.3g} spin updates per second; trajectory in {output}")
    if run.stop_reason is not None:
        typer.echo(f"stopped: {run.stop_reason}; --resume goes on all the same")
        raise typer.Exit(3)
    if run.interrupted:
        typer.echo("interrupted; --resume continues")
        raise typer.Exit(130)


@app.command()
def compare(
    config: Configuration,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; what is there is not computed again.")],
    workers: Annotated[int, typer.Option(help="Trainings at a time, one thread each.")] = 1,
) -> None:
    """Train, evaluate and time several models on common labels; leaves tables, figures and models in OUTPUT.

    ```yaml
    models:
      default: {model: {cutoff: 2.1}, training: {max_epochs: 40}}
      cheap: {model: {cutoff: 1.1, hyperparameters: {channels: 4}}, training: {max_epochs: 40}}
    data:
      mine: {train: labels.h5, test: 0.2}
    ```

    The same command continues an interrupted comparison.
    """
    with starting():
        from gnnspin.analysis.comparison import ComparisonConfig
        from gnnspin.analysis.comparison_report import run_comparison

    typer.echo(run_comparison(read_config(config, ComparisonConfig), output, n_workers=workers))


@analyze.command()
def locality(config: Configuration, output: Output, resume: Resume = False) -> None:
    """Measure the torque error that no model of a given cutoff can avoid; a table, JSON and a figure in OUTPUT.

    Spins outside the cutoff are drawn again and the exact torque at the centre computed again.

    ```yaml
    system: {kind: square, shape: [30, 30]}
    source: {hamiltonian: {J: 3.5}, solver: {kind: pole_expansion, kT: 0.001, filling: 0.48}}
    ensemble: {kind: random, count: 4}
    radii: [3.0, 4.3, 8.1]
    ```
    """
    with starting():
        from gnnspin.analysis import LocalityConfig, analyze_locality, locality_figure

    result = analyze_locality(read_config(config, LocalityConfig), output, resume=resume)
    locality_figure(result, output / "locality.png")
    typer.echo(f"{result}\nwrote {output / 'locality.json'} and {output / 'locality.png'}")


@analyze.command()
def trajectory(
    run: Annotated[Path, typer.Argument(help="Trajectory that simulate wrote; it may be running.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="YAML file; `gnnspin info trajectory`.")],
    output: Output,
    resume: Resume = False,
) -> None:
    """Measure observables on the frames of a stored run; a table, HDF5 and figures in OUTPUT.

    ```yaml
    observables:
      - scalar_chirality
      - {kind: correlation_length, name: length, of: scalar_chirality}
    waiting_times: [10, 100]
    growth:
      length: {laws: [power, linear], window: [20, 800]}
    ```

    The names are those of `observers` in a simulation. After Ctrl-C, or when the run has gone on, `--resume` measures
    the frames that are missing.
    """
    with starting():
        from gnnspin.analysis.run_errors import draw_run_errors
        from gnnspin.analysis.trajectory import TrajectoryAnalysisConfig, analyze_trajectory
        from gnnspin.analysis.trajectory_report import write_analysis
        from gnnspin.trajectories.trajectory import Trajectory

    settings = read_config(config, TrajectoryAnalysisConfig)
    found = analyze_trajectory(run, settings, output, resume=resume)
    written = write_analysis(found, output, figures=settings.figures)
    if settings.figures:
        with Trajectory(run) as stored:
            written += draw_run_errors(stored, output)
    typer.echo("\n".join([str(found), *(f"wrote {path}" for path in written)]))


@analyze.command()
def movie(
    run: Annotated[Path, typer.Argument(help="Trajectory that simulate wrote; it may be running.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Movie: NAME.gif, or NAME.mp4 through ffmpeg.")],
    what: Annotated[
        str,
        typer.Option(help="spins, S_z, scalar_chirality, vector_chirality, bond_order or topological_charge."),
    ] = "spins",
    form: Annotated[str, typer.Option(help="Of spins: arrows, colors, or auto, by the size.")] = "auto",
    every: Annotated[int, typer.Option(min=1, help="Take every n-th stored frame.")] = 1,
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 12.0,
    replica: Annotated[int, typer.Option(help="Which replica.")] = 0,
    part: Annotated[int, typer.Option(help="Which system, where the run is that of several.")] = 0,
) -> None:
    """Draw the frames of a stored run of a planar system one after another.

    A file of the name OUTPUT is replaced when the movie is whole.
    """
    with starting():
        from gnnspin.plotting import movie as draw

    try:
        options: Any = {"what": what, "form": form, "frames": slice(None, None, every)}
        draw(run, output, **options, fps=fps, replica=replica, part=part)
    except KeyboardInterrupt:
        typer.echo("interrupted; no movie was written", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"wrote {output}")


@app.command()
def reproduce(
    study: Annotated[str, typer.Argument(help="A study (`gnnspin info reproduce`), or a YAML file of your own.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the results; new, unless --resume.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="How much work: small, medium (a night) or large (a GPU).")] = None,
    from_pretrained: Annotated[
        bool,
        typer.Option(help="Use the model that comes with the package; no labels, no training."),
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the study's YAML file, a start for your own.")] = False,
    resume: Resume = False,
) -> None:
    """Run a known system from its Hamiltonian to its physics.

    Labels, training, held-out errors; the exact and the learned dynamics side by side; a large quench under the learned
    field; errors on the states that it visits; observables with error bars, growth laws, figures and `report.md`. What
    it will take is printed first. Interrupt with Ctrl-C; `--resume` goes on.
    """
    with starting():
        from gnnspin.studies import reproduce as run
        from gnnspin.studies import study_file

    if show:
        typer.echo(study_file(study).read_text(encoding="utf-8"))
        return
    if output is None:
        raise InvalidInput("give --output, a folder for the results")
    for line in run(study, output, size=size, from_pretrained=from_pretrained, resume=resume):
        typer.echo(line)


@app.command()
def info(
    topic: Annotated[
        str | None,
        typer.Argument(
            help="A file, a model, a kind, or generate, import, train, learn, simulate, locality, trajectory."
        ),
    ] = None,
) -> None:
    """Describe this installation, a file (labels, model, trajectory), a model, a kind, or the keys of a configuration.

    Kinds are those of sources, Hamiltonians, hopping rules, leads and temperature protocols, such as `zeeman`.
    """
    with starting():
        from gnnspin.information import describe

        text = describe(topic)
    typer.echo(text)


def main() -> None:
    """Entry point of the command line."""
    run(app)


def run(application: typer.Typer) -> None:
    """Run a command line: errors are one line, without a traceback unless GNNSPIN_DEBUG is set."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        application(standalone_mode=True)
    except (GnnspinError, pydantic.ValidationError) as error:
        if os.environ.get("GNNSPIN_DEBUG"):
            raise
        text = one_line(error) if isinstance(error, pydantic.ValidationError) else " ".join(str(error).split())
        print(f"gnnspin: {text}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("gnnspin: interrupted; --resume continues", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
