"""The compiled module: addresses and sizes in, nothing out (native/module.cpp). `hepflows.kernels.native` checks what it hands over."""

from typing import TypeAlias

_Spline: TypeAlias = tuple[int, int, int, float, float, float, float, float, float]
_Layer: TypeAlias = tuple[int, int, int, int, int]

MAX_BINS: int
MAX_LAYERS: int
RAW_TILE: int

def available() -> list[str]: ...
def use(name: str, /) -> None: ...
def threaded() -> bool: ...
def spline(threads: int, spline: _Spline, /, *sizes_and_addresses: int) -> None: ...
def spline_backward(threads: int, spline: _Spline, /, *sizes_and_addresses: int) -> None: ...
def head(threads: int, spline: _Spline, /, *sizes_and_addresses: int) -> None: ...
def head_backward(threads: int, spline: _Spline, /, *sizes_and_addresses: int) -> None: ...
def sweep(
    threads: int,
    spline: _Spline,
    features: int,
    events: int,
    given: int,
    activation: int,
    residual: int,
    layers: tuple[_Layer, ...],
    /,
    *addresses: int,
) -> None: ...
