"""The optional inputs of a full training: initial weights, and a teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hybrid_search.export.exported_teacher import find_teacher
from hybrid_search.export.initial_weights import InitialWeights
from hybrid_search.runs.training_job import TrainingJob


@dataclass(frozen=True, eq=False)
class TrainingStart:
    """Initial weights and a teacher, as the training loop takes them.

    Attributes:
        prepare: Changes the random weights of the new network.
        teacher: Returns the logits that the network learns to predict; None: there is no teacher.
    """

    prepare: Callable[[Any], None] = lambda model: None
    teacher: Callable[[Any], Any] | None = None

    @classmethod
    def of(
        cls, job: TrainingJob, initial: InitialWeights | None, teacher: str | None, notice: Callable[[str], None]
    ) -> tuple["TrainingStart", dict[str, str]]:
        """Read and check what a training starts with. Return it, and the options that identify it.

        Args:
            job: The training.
            initial: Initial weights; None: random ones.
            teacher: `timm:NAME` or an exported folder; None: none.
            notice: Called with lines about what is new or resized.

        Raises:
            UserError: The weights are those of other layers, or the teacher has other classes.
        """
        from hybrid_search.data import load

        options: dict[str, str] = {}
        prepare, found = cls.prepare, None
        if initial is not None or teacher is not None:
            dataset = load(job.settings)
        if initial is not None:
            first, classes = initial, tuple(dataset.classes)
            for line in first.notes(job.architecture, job.input_size, classes):
                notice(f"initial weights: {line}")
            options["init_from"] = first.digest

            def prepare(model: Any) -> None:
                first.load_into(model, classes)

        if teacher is not None:
            found, options["teacher"] = find_teacher(teacher, dataset)
        return cls(prepare, found), options
