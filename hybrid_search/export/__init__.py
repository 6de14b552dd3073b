"""Export of trained networks to files, with a proof that a new process computes the same logits.

Files:
    formats.py              TrainedNetwork, the contract ExportFormat, and the table EXPORT_FORMATS
    safetensors_format.py   the format `safetensors`
    timm_format.py          the format `timm`; likewise onnx_format, onnx_int8_format, pt2_format,
                            openvino_format, litert_format and executorch_format
    recorded.py             helpers of the formats of other runtimes
    network_export.py       export_model: write a folder and prove every format
    trial_export.py         export_trial: export one trial of a search
    training_export.py      export_training: export a full training
    initial_weights.py      weights of an exported folder for another training
    exported_teacher.py     an exported folder, or a model of timm, as a teacher
    trial_data.py           the images of the proof, class names and preprocessing of a trial
    prediction.py           classify image files with an exported network
    output_folder.py        the folder while it is written
    proof.py                compare logits in a new process
    proof_process.py        that process
    folder.py               architecture.json, manifest.json and their checks
    model_card.py           README.md of an exported folder
"""

from hybrid_search.export.folder import check_files, read_description
from hybrid_search.export.formats import EXPORT_FORMATS, ExportFormat, TrainedNetwork
from hybrid_search.export.network_export import export_model, export_network
from hybrid_search.export.proof import Proof
from hybrid_search.export.safetensors_format import load_exported
from hybrid_search.export.training_export import export_training
from hybrid_search.export.trial_export import export_trial

__all__ = [
    "EXPORT_FORMATS",
    "ExportFormat",
    "Proof",
    "TrainedNetwork",
    "check_files",
    "export_model",
    "export_network",
    "export_training",
    "export_trial",
    "load_exported",
    "read_description",
]
