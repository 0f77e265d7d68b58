from s10_pipeline.pipelines.lr_search.nodes import lr_range_test
from s10_pipeline.vision.lr_search.params import LrSearchParams


def test_lr_range_test_gives_curve_choice_and_plot(data, tiny):
    params = LrSearchParams(num_iterations=30, start_lr=1e-3, end_lr=1.0, method="minimum")
    curve, best_lr, plot = lr_range_test(
        data.train_images, data.train_set, params, tiny.model_copy(update={"epochs": 80})
    )
    assert list(curve.columns) == ["lr", "loss", "raw_loss", "run"]
    assert curve.groupby("run").size().tolist() == [30, 30]
    assert best_lr["lr"] == best_lr["candidates"]["minimum"]
    assert 1e-3 <= best_lr["lr"] <= 1.0
    assert "drawn data, not CIFAR-10" in plot.axes[0].get_title()
