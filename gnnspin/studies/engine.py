"""`reproduce`: run a study from its Hamiltonian to figures and a report, resumable at every stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from gnnspin.analysis.curl import CurlAgreement
from gnnspin.analysis.run_errors import draw_run_errors
from gnnspin.analysis.trajectory import analyze_trajectory
from gnnspin.analysis.trajectory_report import write_analysis
from gnnspin.analysis.trajectory_result import TrajectoryAnalysis
from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.datasets import LabelSet, LabelStore
from gnnspin.dynamics.initial import InitialConfig
from gnnspin.dynamics.source_config import SourceConfig
from gnnspin.force_fields.files import load, read_header
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.pretrained import PREFIX, pretrained_path
from gnnspin.labels import GenerateConfig, default_workers, generate
from gnnspin.models.architectures.family import Family
from gnnspin.plotting import parity_and_histogram
from gnnspin.runs import run_folder
from gnnspin.runs.stages import Stages
from gnnspin.studies.curls import curls
from gnnspin.studies.errors import OwnErrors, own_errors
from gnnspin.studies.exact_and_learned import Agreement, agreement
from gnnspin.studies.motions import draw_motion, movements
from gnnspin.studies.pictures import draw_maps, draw_spectrum
from gnnspin.studies.prediction import predicted_seconds, spoken
from gnnspin.studies.report import Results, write_report
from gnnspin.studies.series import draw_series, series_points
from gnnspin.studies.study import CurlConfig, Study, StudyRun, read_study
from gnnspin.studies.table import study_file
from gnnspin.studies.trainings import (
    OWN,
    Training,
    compared_trainings,
    driven_by,
    held_out_groups,
    label_sets,
    trainings_by_round,
)
from gnnspin.systems import SpinSystem
from gnnspin.training import evaluate
from gnnspin.training.job import DataConfig, TrainJob, train
from gnnspin.trajectories import Trajectory

#: Name of the trained model in the training's folder.
MODEL = "model.safetensors"


class _Begun(Study):
    """A study as its folder describes it."""

    from_pretrained: bool = False


def reproduce(
    study: str | Study,
    output: str | Path,
    *,
    size: str | None = None,
    from_pretrained: bool = False,
    resume: bool = False,
    progress: bool = True,
) -> list[str]:
    """Run a study.

    Labels are solved by one process per core where Dask is installed: in a script, call this below
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    study : str or Study
        A key of `STUDIES`, a YAML file of one's own, or a study made in Python.
    output : path
        Folder for labels, model, trajectories, figures and ``report.md``.
    size : str, optional
        One of the sizes that the study declares, see `SIZES`; default: its first.
    from_pretrained : bool
        Use the model that comes with the package: no labels, no training.
    resume : bool
        Go on in `output`, skipping what is done.
    progress : bool
        Show progress bars, and what each stage is expected to take.

    Returns
    -------
    list of str
        The headline figures and every file that was written.

    Raises
    ------
    InvalidInput
        If study or size is unknown, or no pretrained model belongs to it.
    StoreError
        If `output` is not empty and `resume` is not set, or belongs to another study.
    KeyboardInterrupt
        On Ctrl-C; what was computed is kept.
    """
    chosen = study if isinstance(study, Study) else read_study(study_file(study), size)
    if from_pretrained and chosen.pretrained is None:
        raise InvalidInput("from_pretrained: no model that comes with the package belongs to this study; train one")
    driving = {run.rival for run in chosen.runs.values() if run.rival is not None}
    lacking = sorted(name for name in driving if chosen.rivals[name].pretrained is None)
    if from_pretrained and lacking:
        raise InvalidInput(
            f"from_pretrained: no model that comes with the package takes the place of rival {lacking[0]}"
        )
    folder = Path(output)
    begun = _Begun(**dict(chosen), from_pretrained=from_pretrained)
    with run_folder(folder / "study.json", begun, resume=resume, kind="study"):
        return _Work(chosen, folder, from_pretrained, progress).report()


class _Work:
    """The stages of a study, each of which finds what an earlier one, or an earlier process, has left."""

    def __init__(self, study: Study, folder: Path, from_pretrained: bool, progress: bool) -> None:
        self.study, self.folder, self.progress = study, folder, progress
        self.stages = Stages(folder / "stages.json", show=progress)
        self.results = Results(study)
        own = trainings_by_round(study)
        trained = folder / (own[-1].folder if own else "training") / MODEL
        self.model = pretrained_path(study.pretrained or "") if from_pretrained else trained
        self.model_name = f"{PREFIX}{study.pretrained}" if from_pretrained else str(self.model)
        self.from_pretrained = from_pretrained

    def report(self) -> list[str]:
        """Do everything; returns the headline figures and the files."""
        if self.progress:
            self.stages.say(f"expected: {spoken(predicted_seconds(self.study, self.folder, self.model))}")
        if not self.from_pretrained and self.study.model is not None:
            self._train_and_evaluate()
        results, timed = self.results, self.stages.timed
        for name in self.study.runs:
            timed(f"run {name}", partial(self._simulate, name))
        for name in self.study.analyses:
            results.analyses[name] = timed(f"analysis {name}", partial(self._analyse, name))
        for name in self.study.errors:
            results.own[name] = timed(f"errors {name}", partial(self._own_errors, name))
        for name in self.study.comparisons:
            results.agreements[name] = self._compare(name)
        for name, each in self.study.series.items():
            results.series[name] = series_points(each, results.analyses)
            draw_series(each, results.series[name], self.folder, name)
        for name, motion in self.study.motions.items():
            results.motions[name] = movements(motion, results.analyses, lambda run: Trajectory(self.trajectory(run)))
            draw_motion(motion, results.motions[name], self.folder, name)
        for name, curl in self.study.curls.items():
            results.curls[name] = timed(f"curl {name}", partial(self._curls, name, curl))
        self._draw()
        return write_report(results, self.stages, self.folder)

    def trajectory(self, name: str) -> Path:
        """File of a run."""
        return self.folder / "runs" / f"{name}.h5"

    def _train_and_evaluate(self) -> None:
        study, timed = self.study, self.stages.timed
        assert study.held_out is not None
        sets, by_round = label_sets(study), trainings_by_round(study)
        (file, first), *rounds = sets.items()
        timed("labels", partial(self._labels, first, file))
        test = timed("held-out labels", partial(self._labels, study.held_out, "held_out.h5"))
        timed(by_round[0].name, partial(self._train, by_round[0]))
        for (file, further), before, each in zip(rounds, by_round[:-1], by_round[1:], strict=True):
            driven = driven_by(further, self.folder / before.folder / MODEL)
            timed(f"round {each.rounds} labels", partial(self._labels, driven, file))
            timed(each.name, partial(self._train, each))
        for each in compared_trainings(study):
            if each not in by_round:
                timed(each.name, partial(self._train, each))
        timed("held-out errors", lambda: self._evaluate(test))

    def _labels(self, config: GenerateConfig, file: str) -> LabelStore:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return generate(config, path, n_workers=default_workers(), progress=self.progress, resume=True)

    def _train(self, each: Training) -> None:
        files = [str(self.folder / file) for file in label_sets(self.study)][: each.rounds + 1]
        data = DataConfig(train=files[0] if len(files) == 1 else tuple(files), validation=self.study.validation)
        start = None if each.start_from is None else str(self.folder / each.start_from / MODEL)
        model = each.model if start is None else None
        job = TrainJob(data=data, model=model, start_from=start, training=each.training)
        if train(job, self.folder / each.folder, resume=True, progress=self.progress).fit.interrupted:
            raise KeyboardInterrupt

    def _evaluate(self, test: LabelSet) -> None:
        study, results = self.study, self.results
        for each in compared_trainings(study):
            found = evaluate(load(self.folder / each.folder / MODEL, test.systems[0]), test)
            results.of_models.setdefault(each.of, []).append(found)
        force_field = load(self.model, test.systems[0])
        results.errors["all"] = overall = results.of_models[OWN][0]
        for name, members in held_out_groups(test).items():
            results.errors[name] = evaluate(force_field, test.subset(members))
        parity_and_histogram(overall.predicted_torque, overall.exact_torque, self.folder / "torque.png")

    def _simulate(self, name: str) -> None:
        run = self.study.runs[name]
        simulation = run.under(self._source(name))
        if run.after is not None:
            initial = InitialConfig(file=self.trajectory(run.after), replicas=run.initial.replicas)
            simulation = simulation.model_copy(update={"initial": initial})
        path = self.trajectory(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if simulation.run(path, continue_run=path.exists(), progress=self.progress).interrupted:
            raise KeyboardInterrupt

    def _analyse(self, name: str) -> TrajectoryAnalysis:
        folder, config = self.folder / "analysis" / name, self.study.analyses[name]
        found = analyze_trajectory(self.trajectory(name), config, folder, resume=True, progress=self.progress)
        write_analysis(found, folder, figures=config.figures)
        return found

    def _model_of(self, rival: str | None) -> str:
        """File of a rival's model, or of the study's own, as configurations name it."""
        if rival is None:
            return self.model_name
        if self.from_pretrained:
            return f"{PREFIX}{self.study.rivals[rival].pretrained}"
        return str(self.folder / "rivals" / rival / MODEL)

    def _source(self, run: str) -> SourceConfig | dict[str, object]:
        """The source of a run, as `SourceConfig` takes it."""
        config = self.study.runs[run]
        if isinstance(config.source, SourceConfig):
            return config.source
        if not config.learned:
            hamiltonian, solver = self.study.electrons(run)
            return {"hamiltonian": hamiltonian, "solver": solver}
        path = self._model_of(config.rival)
        at = self._member(path, config)
        return {"model": path} if at is None else {"kind": "model", "path": path, "at": at}

    def _member(self, path: str | Path, config: StudyRun) -> dict[str, float] | None:
        """Parameters at which a family of models is taken in a run; None for a model that is no family."""
        header = read_header(pretrained_path(str(path)) if str(path).startswith(PREFIX) else path)
        names = list(header["hyperparameters"].get("conditions", ())) if header["model"] == Family.name else []
        missing = [name for name in names if name not in config.parameters]
        if missing:
            raise InvalidInput(
                f"the model {path} is a family with the parameters {', '.join(names)}; give {', '.join(missing)} "
                "among the parameters of the run"
            )
        return {name: config.parameters[name] for name in names} or None

    def exact(self, run: str, solver: Recipe | None = None) -> Callable[[SpinSystem], FieldSource]:
        """From a system to the exact solver of a run, or another one at its parameters, on it."""
        hamiltonian, chosen = self.study.electrons(run, solver)
        return lambda system: chosen.build(hamiltonian=hamiltonian.build(system))

    def _learned(self, run: str, path: str | Path, system: SpinSystem) -> ForceField:
        """A force field at the parameters of a run."""
        return load(path, system, at=self._member(path, self.study.runs[run]))

    def _own_errors(self, name: str) -> list[OwnErrors]:
        with Trajectory(self.trajectory(name)) as run:
            learned = self._learned(name, self._model_of(self.study.runs[name].rival), run.system)
            return own_errors(
                run,
                learned,
                self.exact(name),
                self.study.errors[name],
                self.folder / f"errors_{name}.json",
                self.progress,
            )

    def _densities(self, run: str) -> Callable[[SpinSystem], FieldSource]:
        """The exact solver of a run, looked for only where a map needs it."""
        return lambda system: self.exact(run)(system)

    def _curls(self, name: str, config: CurlConfig) -> dict[str, CurlAgreement]:
        with Trajectory(self.trajectory(config.run)) as run:
            rivals = [name for name, each in self.study.rivals.items() if each.pretrained or not self.from_pretrained]
            paths = {OWN: self.model_name, **{name: self._model_of(name) for name in rivals}}
            models = {each: partial(self._learned, config.run, path, run.system) for each, path in paths.items()}
            solver = partial(self.exact(config.run, config.exact), run.system)
            return curls(run, config, solver, models, self.folder / f"curl_{name}.json")

    def _compare(self, name: str) -> Agreement:
        each, analyses = self.study.comparisons[name], self.results.analyses
        with Trajectory(self.trajectory(each.exact)) as exact, Trajectory(self.trajectory(each.learned)) as learned:
            found = agreement(each, analyses[each.exact], analyses[each.learned], exact, learned)
        found.draw(self.folder, name)
        return found

    def _draw(self) -> None:
        for name, each in self.study.maps.items():
            with Trajectory(self.trajectory(each.run)) as run:
                draw_maps(run, each, self.folder / f"{name}.png", self._densities(each.run))
        for name in self.study.runs:
            with Trajectory(self.trajectory(name)) as run:
                draw_run_errors(run, self.folder, f"run_errors_{name}")
        for name in self.study.spectra:
            with Trajectory(self.trajectory(name)) as run:
                draw_spectrum(run, self.folder / f"structure_factor_{name}.png")
