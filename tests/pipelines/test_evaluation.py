from s10_pipeline.pipelines.evaluation.nodes import evaluate
from s10_pipeline.vision.evaluation.params import EvaluateParams


def test_evaluate_gives_metrics_rows_and_matrix(classifier, data):
    metrics, predictions, matrix = evaluate(classifier, data.test_images, data.test_set, EvaluateParams(), "cpu")
    assert {
        "test_accuracy", "test_accuracy_ci95", "test_loss", "balanced_accuracy", "macro_f1", "per_class_accuracy",
        "ece", "num_test_images",
    } <= set(metrics)  # fmt: skip
    assert len(predictions) == metrics["num_test_images"] == 120
    low, high = metrics["test_accuracy_ci95"]
    assert low < metrics["test_accuracy"] < high
    assert f"{metrics['test_accuracy']:.2%}" in matrix.axes[0].get_title()
