"""The application packages. Import them as ``hepflows.applications``."""

if __name__ != "hepflows.applications":
    message = (
        f"this folder was imported as {__name__!r}: write 'from hepflows.applications import ...' instead, "
        "so that every class exists only once"
    )
    raise ImportError(message)
