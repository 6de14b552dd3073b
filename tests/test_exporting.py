"""Every way in which torch records a network gives its outputs, or an error that names the way that does."""

import importlib.util
import warnings

import pytest
import torch

from hybrid_search.errors import UserError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.model import build_model, use_backend
from hybrid_search.ops import GlobalAttention2d, LocalAttention2d
from hybrid_search.ops.exporting import pooled
from hybrid_search.ops.local_attention import which_backend
from hybrid_search.ops.local_attention.exportable import MOST_BLOCKS, blocks

needs_onnx = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("onnx", "onnxscript", "onnxruntime"))),
    reason='ONNX is not installed: pip install "hybrid-search[onnx]"',
)

CONV = {"kind": "conv3x3", "width": 8}
DESIGNS = {
    "masked": (CONV, {"extent": 5}),
    "zero": (CONV, {"extent": 3, "border": "zero"}),
    "shifted": (CONV, {"extent": 5, "border": "shifted", "norm": True}),
    "small map": (CONV, {"extent": 11, "border": "shifted", "logits": "qr", "projection": "grouped"}),
    "no positions": (CONV, {"extent": 3, "position": "none", "scale": True}),
    "absolute": (CONV, {"extent": 3, "position": "absolute", "norm": True}),
    "global": (CONV, {"operator": "global_attention", "distance": 3}),
    "global, no positions": (CONV, {"operator": "global_attention", "position": "none"}),
    "mixture": ({"kind": "attention", "width": 8, "heads": 2}, {"extent": 3}),
    "plain": ({"kind": "attention", "width": 8, "heads": 2, "values": "plain"}, {"extent": 3}),
    "conv4x4": ({"kind": "attention", "width": 8, "heads": 2, "values": "conv4x4"}, {"extent": 3}),
}
# What the runtimes of the issue can run. Views of a tensor have many names; all are a Reshape or a Transpose.
OPERATIONS = {"conv2d", "batch_norm", "relu", "relu_", "linear", "matmul", "add", "mul", "softmax", "mean", "sum"}
OPERATIONS |= {"avg_pool2d", "max_pool2d", "slice", "pad", "cat", "reshape", "flatten", "unflatten", "transpose"}
OPERATIONS |= {"permute", "unsqueeze", "squeeze"}


def network(name):
    """Return a network with random weights and statistics, and images whose sides differ."""
    stem, options = DESIGNS[name]
    stage = {"operator": "local_attention", "depth": 1, "width": 8, "stride": 2, "heads": 2, **options}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(Architecture.from_dict({"stem": stem, "stages": [stage]}), 3, 4)
        rows, cols = (12, 20) if stem is not CONV else (13, 10)
        images = torch.randn(3, 3, rows, cols)
        with torch.no_grad():
            model(torch.randn(8, 3, rows, cols))  # statistics other than 0 and 1
            torch.nn.init.normal_(model.head.weight)
        return model.eval(), images


def answers(model, images):
    with torch.inference_mode():
        return model(images)


@pytest.mark.parametrize("name", DESIGNS)
def test_torch_export_records_plain_operations_on_four_dimensions_for_any_batch(name):
    model, images = network(name)
    expected = answers(model, images)
    program = torch.export.export(model, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    for batch in (3, 1):
        torch.testing.assert_close(program.module()(images[:batch]), expected[:batch], rtol=0, atol=2e-6)
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    names = {str(node.target).split(".")[1] for node in calls}
    assert names - {"_assert_tensor_metadata", "to"} <= OPERATIONS
    assert max(node.meta["val"].dim() for node in calls if isinstance(node.meta.get("val"), torch.Tensor)) <= 4


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.trace:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", DESIGNS)
def test_a_trace_answers_for_any_batch_and_refuses_maps_of_another_size(name):
    model, images = network(name)
    traced = torch.jit.trace(model, images[:2], check_trace=False)
    torch.testing.assert_close(traced(images), answers(model, images), rtol=0, atol=2e-6)
    rows, cols = images.shape[2:]
    with pytest.raises(RuntimeError, match=r"must match the size|is invalid for input"):
        traced(torch.randn(1, 3, 2 * rows, 2 * cols))


@needs_onnx
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [True, False])
def test_both_exporters_of_onnx_write_the_network_whatever_backend_is_set(dynamo, tmp_path):
    import onnxruntime

    model, images = network("masked")
    expected = answers(model, images)
    use_backend(model, None if dynamo else "cpu")
    shapes = (
        {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1)},)}
        if dynamo
        else {"dynamic_axes": {"images": {0: "batch"}}, "input_names": ["images"]}
    )
    file = str(tmp_path / "network.onnx")
    torch.onnx.export(model, (images[:2],), file, dynamo=dynamo, opset_version=18, verbose=False, **shapes)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=0, atol=2e-6)


@pytest.mark.compiler
def test_torch_compile_gives_the_outputs_of_the_network():
    model, images = network("masked")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(answers(compiled, images), answers(model, images), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "layer"), [("masked", "LocalAttention2d"), ("global", "GlobalAttention2d"), ("plain", "AttentionStem2d")]
)
def test_torch_fx_is_refused_by_an_error_that_names_the_leaf(name, layer):
    law = rf"{layer} must be traced with images.*set_non_traceable_module_classes\(\[{layer}\]\).*onnx-int8"
    with pytest.raises(UserError, match=law):
        torch.fx.symbolic_trace(network(name)[0])


def test_torch_fx_with_the_layers_as_leaves_gives_the_outputs():
    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, module, name):
            return isinstance(module, (LocalAttention2d, GlobalAttention2d)) or super().is_leaf_module(module, name)

    model, images = network("masked")
    traced = torch.fx.GraphModule(model, Tracer().trace(model))
    assert torch.equal(answers(traced, images), answers(model, images))


def test_a_strict_export_is_refused_by_an_error_that_names_the_other_one():
    model, images = network("masked")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception, match=r"got torch\.export with strict=True\. Use strict=False"):
            torch.export.export(model, (images,), strict=True)


def test_the_backend_is_the_export_form_while_a_call_is_recorded():
    class Named(torch.nn.Module):
        def forward(self, q):
            self.name = which_backend(q, extent=3, backend="cpu")
            return q * 2

    module, q = Named(), torch.randn(1, 2, 4, 5, 3)
    torch.export.export(module, (q,))
    assert module.name == "exportable"
    assert which_backend(q, extent=3, backend="portable") == "portable"


@pytest.mark.parametrize("border", ["masked", "zero", "shifted"])
@pytest.mark.parametrize("size", [(56, 56), (112, 90), (7, 7), (1, 30)])
def test_the_blocks_of_large_maps_are_few_and_their_masks_do_not_grow_with_the_square_of_the_map(size, border):
    rows, cols = blocks(size, (7, 7), border)
    for spans, side in ((rows, size[0]), (cols, size[1])):
        assert [place for span in spans for place in range(span.start, span.stop)] == list(range(side))
    assert len(rows) * len(cols) <= MOST_BLOCKS
    masks = sum(r.queries * c.queries * (r.reach + c.reach) for r in rows for c in cols)
    assert masks <= size[0] * size[1] * (size[0] + size[1] + 16)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(6, 12), (7, 11), (1, 2)])
def test_the_pool_of_an_exporter_is_the_pool_of_the_layer(size, stride):
    pool = torch.nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else None
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = x if pool is None else pool(x)
    torch.testing.assert_close(pooled(pool, x), expected, rtol=0, atol=1e-12)
