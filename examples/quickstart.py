"""The main job in a few lines: synthetic people, DSANet, a score on people it never saw.

python examples/quickstart.py
"""

from pathlib import Path

from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.folder import read
from unbraid.evaluate import evaluate
from unbraid.extract import extract_run
from unbraid.recipe import find_recipe
from unbraid.train import train
from unbraid.world import WorldConfig, render

# rendering starts processes, which import this file again
if __name__ == "__main__":
    config = WorldConfig(train_identities=40, test_identities=20, train_outfits=1, test_outfits=1, height=128, width=64)
    people = read(render(config, Path("quickstart/world")))
    run = train(find_recipe("dsanet:world"), people, Path("quickstart/run"), resume=True)
    found = extract_run(run, people, Path("quickstart/embeddings"))
    print(evaluate(found["query"], found["gallery"], CAMERA_CHANGE))
