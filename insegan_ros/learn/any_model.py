"""The model `any`: a network that learns from random shapes what piles of any part are like."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from insegan_ros import __version__
from insegan_ros.device import pick_device, processor
from insegan_ros.distillation.examples import mixed_batch
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.pretrain import ShapesConfig, load_shapes, store_shapes
from insegan_ros.distillation.train import TrainConfig, begin
from insegan_ros.inference import distilled_card, model_card
from insegan_ros.learn.reading import learn_to_read
from insegan_ros.learn.stages import batch_workers, train_with_bar
from insegan_ros.synthetic.d435 import D435

HELD_OUT = 20  # one shape in so many is not trained on, but no more than
MOST_HELD_OUT = 30
# What the card assumes where no length is given, and of the length how thick parts are: a tenth of
# the random shapes are thinner. Centres of parts that lie on each other are no further apart.
PART_LENGTH_M, THICKNESS = 0.056, 0.35


def pretrain(
    out: Path, *, shapes: int, minutes: float, seed: int, device: str, workers: int
) -> dict[str, float]:
    """Write <out>/model, and return its figures on shapes that it was not taught.

    Args:
        shapes: how many random shapes are made; piles of each go to <out>/shapes.
        minutes: of training.
        device: auto, cpu or cuda[:index].
        workers: processes that make piles.
    """
    device = pick_device(device)
    config, train = ShapesConfig(shapes=shapes), TrainConfig().on(device)
    folder = out / 'shapes'
    with tqdm(total=config.shapes, desc='shapes', unit='shape') as bar:
        for done in store_shapes(config, folder, seed, workers):
            bar.update(done - bar.n)
    parts = list(load_shapes(folder, config, seed))
    last = max(1, min(len(parts) // HELD_OUT, MOST_HELD_OUT))
    held, taught = parts[-last:], parts[:-last] or parts
    height = sum(config.camera_height) / 2
    assumed = NetworkConfig(PART_LENGTH_M, THICKNESS * PART_LENGTH_M, height / D435.fx)
    progress = begin(assumed, train, seed, device)
    piles = sum(len(each) for each, _ in taught)
    print(f'{len(taught)} shapes, {piles} piles', flush=True)
    train_with_bar(
        progress,
        lambda rng: mixed_batch(taught, train.batch, rng),
        train,
        60 * minutes,
        seed,
        out / 'state.pt',
        batch_workers(device, workers),
    )
    read = learn_to_read(progress.average, held, seed)
    figures = {
        'strict_miou_on_unseen_shapes': round(read.strict_miou, 4),
        'count_accuracy_on_unseen_shapes': round(read.count_accuracy, 4),
    }
    card = {
        'method': 'explicit',
        'part': 'any',
        'made_by': f'insegan_ros {__version__}, insegan pretrain',
        'labels_used': 'none: piles of random shapes in physics taught the network',
        'dataset': {'random_shapes': len(taught), 'piles': piles, 'frames_of_parts': 0},
        'training': {
            'steps': progress.step,
            'batch': train.batch,
            'minutes': minutes,
            'seed': seed,
            'processor': processor(device),
        },
        'figures': figures,
        'settings': distilled_card.to_card(
            assumed, read.votes, lengths_px=config.part_px, existence=read.existence
        ),
    }
    model_card.save_model(out / 'model', card, progress.average.state_dict())
    return figures
