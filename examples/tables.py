"""A table from a frame to a served prediction: breast cancer from scikit-learn, no download.

Run: python examples/tables.py
"""

from sklearn.datasets import load_breast_cancer

import lepta


def main() -> None:
    frame = load_breast_cancer(as_frame=True).frame
    frame["target"] = frame["target"].map({0: "malignant", 1: "benign"})
    data = lepta.Dataset.read(frame, target="target")
    print(f"{data}: {data.task.classes[1]!r} is the class to find")

    model = lepta.fit(data, name="breast-cancer")
    for measured in model.manifest.metrics[:4]:
        print(f"{measured.name}: {measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]")
    path = model.save("breast-cancer.lepta")

    from lepta.serving import start

    patient = frame.drop(columns="target").iloc[0].to_dict()
    with start(path) as service:
        answer = lepta.connect(service.url).predict([patient])
    print("served:", answer.prediction[0], answer.scores[0])


if __name__ == "__main__":
    main()
