"""The errors a user can meet. Each message is one sentence: what was expected, what came, what to do."""


class HepflowsError(Exception):
    """Base of every error caused by what a user passed; the command line prints it and exits with code 2."""


class ShapeError(HepflowsError, ValueError):
    """A tensor has the wrong shape, dtype or device."""


class ContextError(HepflowsError, ValueError):
    """A context is missing, unwanted or of the wrong width."""


class DomainError(HepflowsError, ValueError):
    """A value lies outside the domain of a bijection or a parameter outside its range."""


class DataError(HepflowsError, ValueError):
    """A file or a data set is not what it should be."""


class ConfigError(HepflowsError, ValueError):
    """A configuration or a command-line argument is wrong."""


class CheckpointError(HepflowsError, ValueError):
    """A model or a checkpoint file cannot be used."""


class TrainingError(HepflowsError, RuntimeError):
    """Training cannot go on, for example because the loss is no longer finite."""


class SimulationError(HepflowsError, RuntimeError):
    """A simulation cannot go on, for example because Geant4 stopped."""


class IntegrandError(HepflowsError, RuntimeError):
    """The function to be integrated raised, or returned something that is no number."""


class ExportError(HepflowsError, RuntimeError):
    """A model cannot be exported, or what was exported does not do the same."""


class MissingExtraError(HepflowsError, ImportError):
    """An optional package is not installed."""
