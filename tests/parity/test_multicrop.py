import torch
from networks import architecture_of, arrays_below, assert_close, head_of

from dino.model.backbone import build_backbone
from dino.model.head import DinoHead
from dino.model.student_teacher import MultiCropNetwork


def test_crops_of_several_sizes_give_the_references_scores(golden):
    file = golden("multicrop")
    backbone = build_backbone(architecture_of(file))
    network = MultiCropNetwork(
        backbone, DinoHead(int(file["cfg/embed_dim"]), head_of(arrays_below(file, "state/head.")))
    )
    network.load_state_dict(arrays_below(file, "state/"))
    network.eval()
    count = 2 + int(file["cfg/n_local"])
    crops = [torch.from_numpy(file[f"crop{view}"]) for view in range(count)]

    assert_close(network(crops), file["out"], atol=1e-5)
    assert_close(network(crops[:2]), file["out_globals"], atol=1e-5)
    assert_close(network(crops[:1]), file["out_single"], atol=1e-5)
    mixed = [crops[view] for view in (0, 2, 1, 3)]
    assert_close(network(mixed), file["mixed_out"], atol=1e-5)
    features = torch.cat([backbone(crop) for crop in crops])
    assert_close(features, file["feat"], atol=1e-5)
