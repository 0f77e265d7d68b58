def test_lr_range_test_gives_curve_choice_and_plot(artifacts):
    curve, best_lr = artifacts["lr_curve"], artifacts["best_lr"]
    assert curve.groupby("run").size().tolist() == [25, 25]
    assert best_lr["lr"] == best_lr["candidates"]["minimum"]
    assert "drawn data, not CIFAR-10" in artifacts["lr_curve_plot"].axes[0].get_title()
