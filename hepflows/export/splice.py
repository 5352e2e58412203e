"""The translated parts put where their symbols stand, and the graph made a model of standard operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hepflows.export.parts import DOMAIN, Part


def splice(graph: Any, parts: Mapping[str, Part], graphs: Mapping[str, Any]) -> None:
    """Replace the symbols in ``graph`` (an ``onnx.GraphProto``) by copies of the parts they stand for.

    Args:
        graph: changed in place.
        parts: by name.
        graphs: their translations, by the same names; symbols in them are replaced as well.
    """
    from onnx import helper

    _without_comments(graph)
    nodes: list[Any] = []
    wanted = _symbols(graph)
    placed = set()
    for node in graph.node:
        if node.domain != DOMAIN:
            nodes.append(node)
            continue
        name, output = _part_and_output(node)
        key = name, tuple(node.input)
        if key not in placed:
            insert = _loop if parts[name].steps else _copy
            nodes += insert(graph, parts[name], graphs[name], f"{name}.{len(nodes)}", key[1], wanted[key])
            placed.add(key)
        if node.output[0] != wanted[key][output]:  # the same symbol a second time
            nodes.append(helper.make_node("Identity", [wanted[key][output]], list(node.output)))
    del graph.node[:]
    graph.node.extend(nodes)
    used = set(_used(graph.node)) | {output.name for output in graph.output}
    kept = {tensor.name: tensor for tensor in graph.initializer if tensor.name in used}
    del graph.initializer[:]
    graph.initializer.extend(kept.values())


def _part_and_output(node: Any) -> tuple[str, str]:
    part, _, output = node.op_type.rpartition("_")
    return part, output


def _symbols(graph: Any) -> dict[tuple[str, tuple[str, ...]], dict[str, str]]:
    """For every part and what it is given: the names in ``graph`` of those of its outputs that are used."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
    for node in graph.node:
        if node.domain == DOMAIN:
            part, output = _part_and_output(node)
            found.setdefault((part, tuple(node.input)), {}).setdefault(output, node.output[0])
    return found


def _copy(
    graph: Any, part: Part, translated: Any, prefix: str, given: Iterable[str], outputs: Mapping[str, str]
) -> list[Any]:
    """The nodes of a part that lead to the wanted outputs, renamed; what they hold in numbers goes into ``graph``, once."""
    import onnx

    constants = {tensor.name: f"{prefix.rpartition('.')[0]}.{tensor.name}" for tensor in translated.initializer}
    present = {tensor.name for tensor in graph.initializer}
    for tensor in translated.initializer:
        if constants[tensor.name] not in present:
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = constants[tensor.name]
    names = {"": "", **constants, **dict(zip(part.inputs, given, strict=True)), **outputs}
    copies = []
    for node in _leading_to(translated.node, set(outputs)):
        new = onnx.NodeProto()
        new.CopyFrom(node)
        new.name = f"{prefix}.{node.name}"
        for places in (new.input, new.output):
            places[:] = [names.get(name, f"{prefix}.{name}") for name in places]
        copies.append(new)
    return copies


def _loop(
    graph: Any, part: Part, translated: Any, prefix: str, given: tuple[str, ...], outputs: Mapping[str, str]
) -> list[Any]:
    """A ``Loop`` whose body is the part, the first of ``given`` being what it begins with."""
    from onnx import TensorProto, helper

    index, go, before, on, after = (f"{prefix}.{name}" for name in ("index", "go", "before", "on", "after"))
    x = next(value for value in translated.input if value.name == "x")
    kind = x.type.tensor_type.elem_type
    shape = [axis.dim_param or axis.dim_value for axis in x.type.tensor_type.shape.dim]
    nodes = _copy(graph, part, translated, f"{prefix}.step", (index, before, *given), {"next": after})
    body = helper.make_graph(
        [helper.make_node("Identity", [go], [on]), *nodes],
        f"{prefix}.body",
        [
            helper.make_tensor_value_info(index, TensorProto.INT64, []),
            helper.make_tensor_value_info(go, TensorProto.BOOL, []),
            helper.make_tensor_value_info(before, kind, shape),
        ],
        [helper.make_tensor_value_info(on, TensorProto.BOOL, []), helper.make_tensor_value_info(after, kind, shape)],
    )
    count = f"{prefix}.count"
    graph.initializer.append(helper.make_tensor(count, TensorProto.INT64, [], [part.steps]))
    return [helper.make_node("Loop", [count, "", given[0]], [outputs["next"]], name=prefix, body=body)]


def _leading_to(nodes: Iterable[Any], outputs: set[str]) -> list[Any]:
    needed, kept = set(outputs), []
    for node in reversed(list(nodes)):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(_used([node]))
    return kept[::-1]


def _used(nodes: Iterable[Any]) -> Iterable[str]:
    """The names that nodes read, those inside of their graphs included."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _used(attribute.g.node)
                yield from (output.name for output in attribute.g.output)


def _without_comments(graph: Any) -> None:
    """Where in which source file an operator comes from is nobody's business, and older runtimes do not know such comments."""
    del graph.value_info[:]
    for thing in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        thing.ClearField("doc_string")
        thing.ClearField("metadata_props")
