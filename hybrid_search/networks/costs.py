"""The cost of an architecture: exact parameters and FLOPs of every layer, without building or training a model.

FLOPs are 2 x MACs of one image, as in the paper (ResNet-50 at 224 x 224 has 8.2 billion). Batch norm, activations,
pools and additions count no MACs. The parameters of batch norm are counted.
"""

from dataclasses import dataclass, replace

from hybrid_search.errors import ArchitectureError, whole
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.blocks import OperatorPlace
from hybrid_search.ops.local_attention import LocalAttention
from hybrid_search.ops.operator import Layer, stated_layers
from hybrid_search.plugins import table_cache


@dataclass(frozen=True)
class Cost:
    """The cost of a network.

    Args:
        flops: FLOPs of one image (2 x MACs), the sum over the layers.
        params: number of parameters, the sum over the layers.
        layers: every layer in order.
    """

    flops: int
    params: int
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class PlacedBlock:
    """One block of a network.

    Args:
        name: name of its module.
        stage: the stage it belongs to.
        channels, rows, cols: size of its input.
        stride: its stride.
        expansion: the expansion of the architecture, for a bottleneck.
    """

    name: str
    stage: Stage
    channels: int
    rows: int
    cols: int
    stride: int
    expansion: int

    @property
    def places(self) -> tuple[OperatorPlace, ...]:
        """The places of the operator in the block."""
        return self.stage.block_object(self.expansion).places(self.stage.width, self.rows, self.cols, self.stride)

    def layers(self) -> list[Layer]:
        """Return the layers of the block, with the names that they have in it."""
        block, stage = self.stage.block_object(self.expansion), self.stage
        place = (self.channels, stage.width, self.rows, self.cols, self.stride)
        return stated_layers(block, stage.operator_object, *place)


def input_size_of(architecture: Architecture, input_size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the size of the images of an architecture: its own image size, if it has one.

    Args:
        architecture: an architecture.
        input_size: (channels, rows, cols) of the images of an architecture without an image size.
    """
    side = architecture.image_size
    return input_size if side is None else (input_size[0], side, side)


def blocks(architecture: Architecture, rows: int, cols: int) -> list[PlacedBlock]:
    """Return every block of the network in order, for an image of rows x cols, or of its own image size."""
    _, rows, cols = input_size_of(architecture, (1, rows, cols))
    stem, expansion = architecture.stem, architecture.expansion
    channels, rows, cols = stem.width, -(-rows // stem.stride), -(-cols // stem.stride)
    result = []
    for number, stage in enumerate(architecture.stages):
        for index in range(stage.depth):
            stride = stage.stride if index == 0 else 1
            result.append(PlacedBlock(f"stages.{number}.{index}", stage, channels, rows, cols, stride, expansion))
            channels = stage.block_object(expansion).out_channels(stage.width)
            rows, cols = -(-rows // stride), -(-cols // stride)
    return result


def simplified_for(architecture: Architecture, input_size: tuple[int, int, int]) -> Architecture:
    """Return the architecture without options that have no effect on such images, such as an extent beyond the map.

    It computes the same function with the same weights, at a lower cost. All blocks of a stage have the same options:
    those that have an effect on the input map of its first block.

    Args:
        architecture: an architecture.
        input_size: (channels, rows, cols) of the images. An architecture with an image size is simplified for that.
    """
    _, rows, cols = input_size
    maps: dict[str, PlacedBlock] = {}
    for block in blocks(architecture, rows, cols):
        maps.setdefault(block.name.rsplit(".", 1)[0], block)
    stages = tuple(block.stage.on_map(block.places[0].rows, block.places[0].cols) for block in maps.values())
    if stages == architecture.stages:
        return architecture
    return replace(architecture, stages=stages)


def _size(input_size: tuple[int, int, int]) -> tuple[int, int, int]:
    if not isinstance(input_size, tuple | list) or len(input_size) != 3:
        raise ArchitectureError(f"input_size must be (channels, rows, cols); got {input_size!r}.")
    channels, rows, cols = (whole("each of channels, rows and cols", size) for size in input_size)
    return channels, rows, cols


def cost(architecture: Architecture, input_size: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000) -> Cost:
    """Return the parameters and FLOPs of the network that `build_model` builds, layer by layer.

    Args:
        architecture: an architecture.
        input_size: (channels, rows, cols) of an image. If the architecture has an image size, that is used instead of
            rows and cols.
        num_classes: number of classes; 0 for a network without a classifier.

    Raises:
        ArchitectureError: the stem cannot take such an image.
        PluginError: the `cost` of an operator, a block or the stem fails, or returns no list of layers.

    Example:
        >>> cost(reference("resnet50")).flops / 1e9
        8.178368512
    """
    channels, rows, cols = input_size_of(architecture, _size(input_size))
    whole("num_classes", num_classes, 0)
    layers = [layer.within("stem") for layer in stated_layers(architecture.stem, channels, rows, cols)]
    for block in blocks(architecture, rows, cols):
        layers += [layer.within(block.name) for layer in block.layers()]
    if num_classes:
        features = architecture.num_features
        weights = features * num_classes
        formula = f"{features} x {num_classes}"
        layers.append(Layer("head", "linear", weights + num_classes, weights, 1, 1, formula))
    return Cost(sum(layer.flops for layer in layers), sum(layer.params for layer in layers), tuple(layers))


@table_cache(maxsize=16384)
def _block_cost(block: PlacedBlock) -> tuple[int, int]:
    layers = block.layers()
    return sum(layer.flops for layer in layers), sum(layer.params for layer in layers)


def total_cost(
    architecture: Architecture, input_size: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000
) -> tuple[int, int]:
    """Return (FLOPs, parameters) of `cost`, without the layers. It takes a tenth of the time for many architectures."""
    channels, rows, cols = input_size_of(architecture, input_size)
    layers = stated_layers(architecture.stem, channels, rows, cols)
    flops, params = sum(layer.flops for layer in layers), sum(layer.params for layer in layers)
    for block in blocks(architecture, rows, cols):
        more_flops, more_params = _block_cost(replace(block, name=""))
        flops, params = flops + more_flops, params + more_params
    if num_classes:
        weights = architecture.num_features * num_classes
        flops, params = flops + 2 * weights, params + weights + num_classes
    return flops, params


@dataclass(frozen=True)
class LayerComparison:
    """The MACs of a local attention layer and of the 3x3 convolution that it replaces, for one image.

    Args:
        name: name of the layer's module.
        width: number of channels d.
        extent: side k of the window in pixels.
        rows, cols: the map of the attention.
        out_rows, out_cols: the map of the convolution; smaller if the block has stride 2.
        convolution_macs: MACs of the convolution.
        projection_macs: MACs of q, k and v.
        content_macs: MACs of q.k and weights.v.
        position_macs: MACs of q.r with an expanded table.
    """

    name: str
    width: int
    extent: int
    rows: int
    cols: int
    out_rows: int
    out_cols: int
    convolution_macs: int
    projection_macs: int
    content_macs: int
    position_macs: int

    @property
    def attention_macs(self) -> int:
        """All MACs of the attention."""
        return self.projection_macs + self.content_macs + self.position_macs

    @property
    def ratio(self) -> float:
        """MACs of the attention / MACs of the convolution."""
        return self.attention_macs / self.convolution_macs

    @property
    def ratio_without_position(self) -> float:
        """The ratio without q.r. A kernel with separate row and column tables needs only 1 / extent of q.r."""
        return (self.attention_macs - self.position_macs) / self.convolution_macs

    @property
    def break_even(self) -> float:
        """The extent at which both have the same MACs; 0 if the projections alone have more."""
        return self._break_even(self.content_macs + self.position_macs)

    @property
    def break_even_without_position(self) -> float:
        """The break-even extent without q.r: sqrt(3 d) at stride 1. The paper gives k = 19 at d = 128."""
        return self._break_even(self.content_macs)

    def _break_even(self, window_macs: int) -> float:
        left = self.convolution_macs - self.projection_macs
        return float((max(0, left) * self.extent**2 / window_macs) ** 0.5)

    def __str__(self) -> str:
        d, k, pixels = self.width, self.extent, self.rows * self.cols
        terms = [f"{self.projection_macs // pixels:,} (projections)"]
        terms.append(f"{self.content_macs // (k * k * d * pixels)} x {k}^2 x {d} (q.k, weights.v)")
        if self.position_macs:
            terms.append(f"{k}^2 x {d} (q.r)")
        return (
            f"{self.name}: convolution 3^2 x {d}^2 x {self.out_rows}x{self.out_cols} = {self.convolution_macs:,} MACs; "
            f"attention ({' + '.join(terms)}) x {self.rows}x{self.cols} = {self.attention_macs:,} MACs; "
            f"ratio {self.ratio:.2f}, without q.r {self.ratio_without_position:.2f}; "
            f"break-even extent {_extent(self.break_even)}, without q.r {_extent(self.break_even_without_position)}"
        )


def _extent(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else "none"  # the projections alone have more MACs than the convolution


def explain(architecture: Architecture, input_size: tuple[int, int, int] = (3, 224, 224)) -> list[LayerComparison]:
    """Compare each local attention layer of the stages with the 3x3 convolution that it replaces.

    Args:
        architecture: an architecture.
        input_size: (channels, rows, cols) of an image; see `cost`.
    """
    _, rows, cols = _size(input_size)
    result = []
    for block in blocks(architecture, rows, cols):
        operator = block.stage.operator_object
        if isinstance(operator, LocalAttention):
            result += [_comparison(f"{block.name}.{place.name}", operator, place) for place in block.places]
    return result


def _comparison(name: str, operator: LocalAttention, place: OperatorPlace) -> LayerComparison:
    """Return the comparison of one local attention layer."""
    width, rows, cols = place.width, place.rows, place.cols
    layers = operator.cost(width, rows, cols, place.stride)
    term = operator.extent**2 * width * rows * cols
    position = term if "q.r" in operator.terms() else 0
    out_rows, out_cols = -(-rows // place.stride), -(-cols // place.stride)
    return LayerComparison(
        name=name,
        width=width,
        extent=operator.extent,
        rows=rows,
        cols=cols,
        out_rows=out_rows,
        out_cols=out_cols,
        convolution_macs=9 * width**2 * out_rows * out_cols,
        projection_macs=sum(layer.macs for layer in layers if layer.kind == "projection"),
        content_macs=term * len(operator.terms()) - position,
        position_macs=position,
    )
