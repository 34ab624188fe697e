"""River on a stream, in an interpreter that has it: `python river_stream.py rows.csv first` prints JSON.

Every row is told before it is learnt; the rows before `first` are learnt without being counted.
"""

import csv
import json
import sys
import time
from pathlib import Path

from river import linear_model, preprocessing, tree


def main() -> None:
    with Path(sys.argv[1]).open(newline="") as file:
        rows = [
            ({k: float(v) for k, v in row.items() if k != "label"}, int(row["label"])) for row in csv.DictReader(file)
        ]
    first = int(sys.argv[2])
    models = {
        "River, Hoeffding tree": tree.HoeffdingTreeClassifier(),
        "River, Hoeffding adaptive tree": tree.HoeffdingAdaptiveTreeClassifier(seed=0),
        "River, logistic regression": preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    }
    found = {}
    for name, model in models.items():
        right, began = 0, time.process_time()
        for number, (x, y) in enumerate(rows):
            if number >= first:
                right += int((model.predict_one(x) or 0) == y)
            model.learn_one(x, y)
        found[name] = {"accuracy": right / (len(rows) - first), "cpu": time.process_time() - began}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
