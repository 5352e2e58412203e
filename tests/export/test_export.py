"""What an ONNX file computes is what torch computes, in two runtimes; what cannot be exported is refused in one sentence."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from bijection_table import CONTEXT, FEATURES, TABLE, build
from torch import Tensor, nn

from hepflows.bijections import Bijection
from hepflows.errors import DataError, ExportError, MissingExtraError, ShapeError
from hepflows.export import Density, Sampler, export_onnx, interface
from hepflows.flow import Flow
from hepflows.zoo import maf

REFUSED = {"continuous"}
FAST = {"chain"}
"""One row that has it all: LU, a masked map with its loop, a permutation, a coupling. The others take minutes together."""


def inputs(name: str, bijection: Bijection, n: int, generator: torch.Generator, *, latents: bool) -> tuple[Tensor, ...]:
    x = 1.5 * torch.randn(n, FEATURES, generator=generator)
    if name == "logit" and not latents:
        x = torch.sigmoid(x)
    return (x, torch.randn(n, CONTEXT, generator=generator)) if bijection.context_features else (x,)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in TABLE if name not in REFUSED],
)
def test_every_bijection_is_the_same_in_onnx_runtime(name: str, direction: str, tmp_path: Path) -> None:
    # ONNX Runtime has convolutions and the error function of GELU in float32 only
    single = name.startswith(("causal", "transformer"))
    dtype, tolerance = (torch.float32, 1e-5) if single else (torch.float64, 1e-11)
    flow = Flow(build(name)).to(dtype)
    module = Sampler(flow) if direction == "inverse" else Density(flow)

    def example(n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        return tuple(
            one.to(dtype) for one in inputs(name, flow.bijection, n, generator, latents=direction == "inverse")
        )

    given = ["points", "context"][: 1 + bool(flow.context_features)]
    path = tmp_path / "flow.onnx"
    worst = export_onnx(module, example, path, input_names=given, output_names=["answer"], tolerance=tolerance)
    assert worst < tolerance
    session = onnxruntime.InferenceSession(path)
    for n in (1, 7, 1000):
        arguments = example(n, torch.Generator().manual_seed(n))
        answer = session.run(None, {name: argument.numpy() for name, argument in zip(given, arguments, strict=True)})[0]
        with torch.no_grad():
            torch.testing.assert_close(
                torch.from_numpy(answer), module(*arguments), rtol=tolerance, atol=10 * tolerance
            )


def test_the_file_says_what_it_is_and_a_second_runtime_agrees(tmp_path: Path) -> None:
    flow = Flow(build("coupling affine")).float()
    sampler, path = Sampler(flow), tmp_path / "flow.onnx"
    metadata = {"units": {"x": "GeV"}, "note": "plain text"}
    worst = export_onnx(
        sampler, sampler.example, path, input_names=["noise", "context"], output_names=["x"], metadata=metadata
    )
    assert worst < 1e-5
    assert interface(path) == [
        ("input", "noise", f"float (batch, {FEATURES})"),
        ("input", "context", f"float (batch, {CONTEXT})"),
        ("output", "x", f"float (batch, {FEATURES})"),
    ]
    model = onnx.load(path)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    properties = {one.key: one.value for one in model.metadata_props}
    assert properties["units"] == '{"x": "GeV"}'
    assert properties["note"] == "plain text"
    assert "hepflows_version" in properties
    assert b".py" not in path.read_bytes(), "no trace of the source files that the operators come from"
    noise, context = sampler.example(7, torch.Generator().manual_seed(3))
    from onnx.reference import ReferenceEvaluator

    (answer,) = ReferenceEvaluator(model).run(None, {"noise": noise.numpy(), "context": context.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(answer, sampler(noise, context).numpy(), rtol=1e-5, atol=1e-5)


def test_numbers_of_float64_graphs_keep_their_precision(tmp_path: Path) -> None:
    """A small addend is no zero, and a constant is not rounded to float32."""

    class Small(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.log10(x + 1e-8) * 0.1

    def example(n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        return (1e-9 * torch.rand(n, 2, generator=generator),)

    path = tmp_path / "small.onnx"
    assert export_onnx(Small(), example, path, input_names=["x"], output_names=["y"], tolerance=1e-14) < 1e-14


def normal(n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    return (torch.randn(n, 3, generator=generator),)


class OtherInTheGraph(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1e-3 if torch.onnx.is_in_onnx_export() else x


class DependsOnValues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if bool(x.sum() > 0) else -x


class KeepsTheBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.arange(len(x)).sum()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (OtherInTheGraph(), "differ by .* more than the 1e-05 allowed"),
        (DependsOnValues(), "DependsOnValues cannot be translated to ONNX"),
        (KeepsTheBatch(), "on 1 rows|differ by"),
        (
            Sampler(maf(65, blocks=1, hidden=(4,))),
            "of 65 features takes 65 steps .* at most 64 .* take a coupling flow",
        ),
    ],
)
def test_what_would_be_wrong_is_refused_and_leaves_no_file(module: nn.Module, words: str, tmp_path: Path) -> None:
    module = module.double()
    example = module.example if isinstance(module, Sampler) else normal
    with pytest.raises(ExportError, match=words) as raised:
        export_onnx(module, example, tmp_path / "wrong.onnx", input_names=["x"], output_names=["y"])
    assert len(str(raised.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def _stopped_by_hand(*_: object, **__: object) -> None:
    """As torch leaves it: the interrupt is the context of an error of its own."""
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise AttributeError("module 'torch._dynamo' has no attribute 'exc'")  # noqa: B904
    except AttributeError as error:
        raise torch.onnx.OnnxExporterError("failed") from error


def test_control_c_is_no_failure_of_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.onnx, "export", _stopped_by_hand)
    module = nn.Identity()
    with pytest.raises(KeyboardInterrupt):
        export_onnx(module, normal, tmp_path / "x.onnx", input_names=["x"], output_names=["y"])
    assert not list(tmp_path.iterdir())


def test_a_continuous_flow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="fit a coupling flow to its samples"):
        export_onnx(
            Sampler(Flow(build("continuous"))),
            lambda n, generator: (),
            tmp_path / "flow.onnx",
            input_names=[],
            output_names=["x"],
        )
    assert not (tmp_path / "flow.onnx").exists()


def test_a_model_that_no_file_can_hold_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hepflows.export.onnx_file.LARGEST", 50)
    with pytest.raises(ExportError, match="an ONNX file at most"):
        export_onnx(nn.Linear(3, 3), normal, tmp_path / "a.onnx", input_names=["x"], output_names=["y"])
    with pytest.raises(ExportError, match=r"move it there with \.cpu\(\)"):
        export_onnx(nn.Linear(3, 3, device="meta"), normal, tmp_path / "a.onnx", input_names=["x"], output_names=["y"])


def test_missing_packages_are_named_with_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(MissingExtraError, match=r"needs onnxscript: pip install 'hepflows\[onnx\]'"):
        export_onnx(nn.Identity(), normal, tmp_path / "a.onnx", input_names=["x"], output_names=["y"])


def test_mistakes_of_the_caller_cost_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"must give 2 tensors of 5 rows, .* gave the shapes \[\(5, 3\)\]"):
        export_onnx(nn.Identity(), normal, tmp_path / "a.onnx", input_names=["x", "context"], output_names=["y"])
    with pytest.raises(DataError, match="does not exist: create it first"):
        export_onnx(nn.Identity(), normal, tmp_path / "no" / "a.onnx", input_names=["x"], output_names=["y"])
    (tmp_path / "b.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match=r"b\.onnx: ONNX Runtime .* does not load it"):
        interface(tmp_path / "b.onnx")


def test_the_model_itself_stays_as_it_is(tmp_path: Path) -> None:
    sampler = Sampler(Flow(TABLE["elementwise affine"]()))
    sampler.add_module("other", nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5).eval()))
    before = {name: tensor.clone() for name, tensor in sampler.state_dict().items()}
    export_onnx(sampler, sampler.example, tmp_path / "a.onnx", input_names=["noise"], output_names=["x"])
    assert [part.training for part in sampler.other] == [True, False]
    assert all(torch.equal(tensor, before[name]) for name, tensor in sampler.state_dict().items())
    assert all(parameter.requires_grad for parameter in sampler.parameters())
