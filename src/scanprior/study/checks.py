"""What is wrong with a study and can be known before its first step."""

from collections.abc import Iterable

from scanprior.contracts import Encoder, InputError
from scanprior.data.store import Store
from scanprior.downstream.classification import Classification
from scanprior.metrics import REGIONS
from scanprior.metrics.segmentation import check_tolerance
from scanprior.nn import encoders
from scanprior.recipes.begin import check_crop, check_numbers, check_padding
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.supervision import supervision
from scanprior.study.jobs import Job, Plan
from scanprior.study.plan import Study


def check_settings(study: Study, store: Store) -> None:
    """Raise :class:`InputError` for numbers that cannot be, and regions that ``store`` lacks."""
    for seed in study.seeds:
        check_numbers(seed=seed)
    names = ("split_seed", "frozen_steps", "validate_every", "long_steps", "folds")
    check_numbers(**{name: getattr(study, name) or 0 for name in names})
    check_tolerance(study.tolerance)
    if study.regions == "none":
        return
    if isinstance(study.task, Classification):
        raise InputError(f"regions {study.regions} are of label maps; leave --regions out.")
    values = {value for region in REGIONS[study.regions].values() for value in region}
    if max(values) >= store.classes:
        raise InputError(
            f"regions {study.regions} are of the label values {sorted(values)}, and "
            f"{store.folder} has none above {store.classes - 1}; leave --regions out."
        )


def check_jobs(study: Study, plan: Plan) -> None:
    """Raise :class:`InputError` where store, crop, encoder and labels of a job do not go together.

    What only a forward pass tells is said by the job itself.
    """
    built: dict[tuple[int, int], Encoder] = {}
    for job in _of_each_start(plan.jobs):
        recipe, store = job.recipe, plan.stores[job.recipe.store]
        assert recipe.crop is not None
        assert recipe.spatial_dims is not None
        check_crop(recipe.crop, recipe.spatial_dims, store)
        check_padding(recipe.crop, store)
        shape = recipe.spatial_dims, store.channels
        if shape not in built:
            built[shape] = encoders.build(study.encoder, *shape, study.widths)
        if isinstance(recipe, Finetune):
            labels = supervision(recipe.task)
            labels.known(store)
            labels.check(recipe.crop, built[shape])


def _of_each_start(jobs: Iterable[Job]) -> list[Job]:
    """One pretraining and one cell of each: its others differ in labels, seed and fold alone."""
    return list({(job.start, job.kind): job for job in jobs}.values())
