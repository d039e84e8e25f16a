"""Where work runs: what the machine has, which device to use, and spreading work over it."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.engine.accelerators import Accelerator
    from lepta.engine.allocator import tune_allocator, tune_process
    from lepta.engine.base import ENGINES, Engine, ItemError
    from lepta.engine.device import Device, choose
    from lepta.engine.hardware import Hardware, detect
    from lepta.engine.health import DoctorReport, doctor
    from lepta.engine.launch import train
    from lepta.engine.local import LocalEngine
    from lepta.engine.trials import Finished, Line, TrialError, Trials, open_trials
    from lepta.engine.worker import Alone, Worker

_HOMES = {
    "Accelerator": "lepta.engine.accelerators",
    "Alone": "lepta.engine.worker",
    "Device": "lepta.engine.device",
    "DoctorReport": "lepta.engine.health",
    "ENGINES": "lepta.engine.base",
    "Engine": "lepta.engine.base",
    "Finished": "lepta.engine.trials",
    "Hardware": "lepta.engine.hardware",
    "ItemError": "lepta.engine.base",
    "Line": "lepta.engine.trials",
    "LocalEngine": "lepta.engine.local",
    "TrialError": "lepta.engine.trials",
    "Trials": "lepta.engine.trials",
    "Worker": "lepta.engine.worker",
    "choose": "lepta.engine.device",
    "detect": "lepta.engine.hardware",
    "doctor": "lepta.engine.health",
    "open_trials": "lepta.engine.trials",
    "train": "lepta.engine.launch",
    "tune_allocator": "lepta.engine.allocator",
    "tune_process": "lepta.engine.allocator",
}

__all__ = [
    "ENGINES",
    "Accelerator",
    "Alone",
    "Device",
    "DoctorReport",
    "Engine",
    "Finished",
    "Hardware",
    "ItemError",
    "Line",
    "LocalEngine",
    "TrialError",
    "Trials",
    "Worker",
    "choose",
    "detect",
    "doctor",
    "open_trials",
    "train",
    "tune_allocator",
    "tune_process",
]


__getattr__ = lazy_names(__name__, _HOMES)
