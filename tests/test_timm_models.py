"""The networks in timm. Each test uses a new process, because timm is imported and torchvision is patched only once."""

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import hybrid_search

needs_timm = pytest.mark.skipif(
    not importlib.util.find_spec("timm"), reason='timm is not installed: pip install "hybrid-search[timm]"'
)


def fresh(code, path=None):
    """Run code in a new process with warnings as errors; return its output."""
    package = Path(hybrid_search.__file__).parents[1]
    environment = {"PYTHONPATH": os.pathsep.join(str(each) for each in (path, package) if each)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_timm
def test_timm_creates_a_network_by_reference_name_and_by_description_and_loads_what_was_saved(tmp_path):
    out = fresh(
        f"""
        import hybrid_search.networks.timm_models
        import timm, torch
        from pathlib import Path
        from timm.models._hub import save_for_hf

        with torch.device("meta"):
            model = timm.create_model("hybrid_net", architecture="sasa-26-stem")
            assert model(torch.empty(1, 3, 64, 96)).shape == (1, 1000)
        design = {{"stem": {{"kind": "conv3x3", "width": 8}}, "expansion": 2,
                  "stages": [{{"operator": "local_attention", "depth": 1, "width": 16, "stride": 2}}]}}
        model = timm.create_model("hybrid_net", architecture=design, in_chans=1, num_classes=3).eval()
        x = torch.randn(2, 1, 8, 6)
        arguments = dict(architecture=model.architecture.to_dict(), in_chans=1, num_classes=3)
        save_for_hf(model, Path({str(tmp_path)!r}), model_args=arguments, safe_serialization=True)
        again = timm.create_model("local-dir:" + {str(tmp_path)!r}, pretrained=True).eval()
        assert torch.equal(model(x), again(x))
        assert timm.is_model("hybrid_net")

        from hybrid_search.errors import UserError

        for options, law in (
            (dict(architecture="sasa-26"), "reference must be one of"),
            (dict(act_layer="gelu"), "options of hybrid_net are architecture, in_chans, num_classes, global_pool"),
            (dict(architecture=design, drop_rate=1.0), "drop_rate must be a number from 0 to below 1; got 1.0"),
            (dict(architecture=design, global_pool="max"), "global_pool must be one of None, avg; got 'max'"),
            (dict(architecture=design, features_only=True, out_indices=(0, 5)), "indices must be of the 2 maps"),
        ):
            try:
                timm.create_model("hybrid_net", **options)
            except UserError as error:
                assert law in str(error), error
            else:
                raise AssertionError(law)
        print(tuple(model(x).shape))
        """
    )
    assert out == "(2, 3)\n"


@needs_timm
def test_timm_uses_a_network_as_it_uses_its_own_models():
    """Feature maps, classifiers, checkpointing, learning rates by depth and drop rates."""
    fresh(
        """
        import hybrid_search, timm, torch
        from timm.optim._param_groups import param_groups_layer_decay

        stage = dict(operator="conv", depth=2, width=8, stride=2)
        attention = dict(operator="local_attention", depth=1, width=8, stride=2, extent=3, heads=2)
        design = dict(stem=dict(kind="conv3x3", width=8), stages=[stage, attention])
        create = lambda **options: timm.create_model("hybrid_net", architecture=design, **options)
        images = torch.randn(2, 3, 16, 12)

        features = create(features_only=True)
        assert [tuple(map.shape) for map in features(images)] == [(2, 8, 16, 12), (2, 32, 8, 6), (2, 32, 4, 3)]
        assert (features.feature_info.channels(), features.feature_info.reduction()) == ([8, 32, 32], [1, 2, 4])
        two = create(features_only=True, out_indices=(0, -2))
        assert len(two.model.stages) == 1 and [map.shape[1] for map in two(images)] == [8, 32]

        model = create(num_classes=5, drop_rate=0.2, drop_path_rate=0.1)
        assert model.drop_rate == 0.2
        last, maps = model.eval().forward_intermediates(images, indices=2)
        assert len(maps) == 2 and torch.equal(last, maps[-1]) and torch.equal(last, model.forward_features(images))
        early = model.forward_intermediates(images, indices=[1], stop_early=True, intermediates_only=True)
        assert torch.equal(early[0], maps[0])
        model.train()
        outputs = []
        for enable in (False, True):
            model.set_grad_checkpointing(enable)
            torch.manual_seed(0)
            outputs.append(model(images))
        assert torch.equal(*outputs)
        outputs[1].sum().backward()
        assert len(param_groups_layer_decay(model, layer_decay=0.5)) > 3
        assert param_groups_layer_decay(create(), layer_decay=0.5)
        model.reset_classifier(3)
        assert model(images).shape == (2, 3)
        """
    )


@needs_timm
@pytest.mark.parametrize("first", ["hybrid_search, timm", "timm, hybrid_search"])
def test_timm_knows_the_network_whichever_package_is_imported_first(first, tmp_path):
    before = "import hybrid_search._internal.torchvision_compat as c; c.import_torchvision()\n"
    fresh(f"{before if first.startswith('timm') else ''}import {first}\nassert timm.is_model('hybrid_net')")


def test_nothing_else_imports_timm_or_torchvision():
    fresh(
        """
        import sys, hybrid_search.networks.model, hybrid_search.networks.costs, hybrid_search.networks.references
        assert not {"timm", "torchvision"} & set(sys.modules)
        """
    )


BROKEN = "raise RuntimeError('operator torchvision::nms does not exist')"
HEALTHY = "described = True"
OTHER_FAULT = "raise RuntimeError('another fault')"
TIMM = "def register_model(f): return f\ndef build_model_with_cfg(*_, **__): ..."


def stand_ins(path, descriptions):
    """Write a torchvision that registers its operators in this way at its import, and a timm that needs it."""
    for name, text in (
        ("torchvision/__init__.py", "from torchvision import _meta_registrations\nrest = True"),
        ("torchvision/_meta_registrations.py", descriptions),
        ("timm/__init__.py", "import torchvision"),
        ("timm/models.py", TIMM),
    ):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text + "\n")
    return path


def test_a_healthy_torchvision_is_left_as_it_is(tmp_path):
    """The working torchvision is a fake, because no real one loads with the CPU build of torch."""
    fresh(
        """
        import sys, hybrid_search.networks.timm_models as ours
        assert sys.modules["torchvision._meta_registrations"].described
        assert ours.import_torchvision() is False
        """,
        stand_ins(tmp_path, HEALTHY),
    )


def test_a_torchvision_without_its_operators_is_imported_without_their_descriptions(tmp_path):
    fresh(
        """
        import sys, hybrid_search.networks.timm_models as ours
        assert sys.modules["torchvision"].rest
        assert sys.modules["torchvision._meta_registrations"].left_out
        assert ours.import_torchvision() is True
        """,
        stand_ins(tmp_path, BROKEN),
    )


@pytest.mark.parametrize("order", ["timm, torchvision", "torchvision, timm"])
@pytest.mark.parametrize("failed_before", [False, True])
def test_after_this_package_timm_and_torchvision_are_imported_in_any_order(order, failed_before, tmp_path):
    before = "try: import timm\nexcept RuntimeError: failed = True\nassert failed" if failed_before else ""
    code = f"{before}\nimport hybrid_search\nimport {order}\nassert torchvision.rest and timm.torchvision"
    fresh(code, stand_ins(tmp_path, BROKEN))


@needs_timm
@pytest.mark.slow
def test_the_real_timm_and_torchvision_are_imported_in_any_order_after_this_package():
    for order in ("timm, torchvision", "torchvision, timm"):
        fresh(f"import hybrid_search, {order}\nassert torchvision.transforms and timm.create_model")


def test_any_other_fault_of_torchvision_is_passed_on(tmp_path):
    fresh(
        """
        try:
            import hybrid_search.networks.timm_models
        except RuntimeError as error:
            assert str(error) == "another fault"
        else:
            raise AssertionError("nothing was raised")
        """,
        stand_ins(tmp_path, OTHER_FAULT),
    )
