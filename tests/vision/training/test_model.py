import torch

from s10_pipeline.vision.network.classifier import classifier_to_bytes
from s10_pipeline.vision.training.model import build_classifier


def test_weights_are_a_function_of_the_seed_alone(shapes, sets, tiny):
    models = []
    for seed, global_seed in ((1, 5), (1, 6), (2, 6)):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        model = build_classifier(shapes[0], sets[0], tiny.model_copy(update={"seed": seed}))
        models.append(classifier_to_bytes(model))
        assert torch.equal(torch.get_rng_state(), before)
    assert models[0] == models[1] != models[2]


def test_the_model_carries_what_describes_its_images(shapes, sets, tiny):
    spec = build_classifier(shapes[0], sets[0], tiny).spec
    assert (spec.class_names, spec.mean, spec.std) == (shapes[0].class_names, sets[0].mean, sets[0].std)
    assert spec.drawn
    assert spec.title == shapes[0].source["title"]
    assert spec.architecture.stem == "cifar"
