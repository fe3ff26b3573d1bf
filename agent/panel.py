"""Who judges candidates, by what weights, and with which models: the settings' part that concerns verifiers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.errors import SettingsError

if TYPE_CHECKING:
    from agent.policy.policy import Policy
    from agent.settings import Settings
    from verifiers.verdict import Verifier

JUDGES = ("judge", "judge_pointwise")  # verifiers that ask a language model
MODELS = ("process_reward", "outcome_reward")  # those that have a model of their own


def panel_of(settings: Settings, judge: Policy | None = None) -> tuple[list[Verifier], dict[str, float]]:
    """Who judges, and the weights by the verifiers' names: the default ones, or the last of the person's own mappings.

    A verifier of the person's own that has no weight there weighs 1. ``judge`` is the model that is asked by those that
    ask one.
    """
    own = {verifier.name: verifier for verifier in open_verifiers(settings, settings.verifiers, judge)}
    weights = weights_of(settings)
    check_names(settings, own)
    verifiers = open_verifiers(settings, [name for name in weights if name not in own], judge)
    return [*verifiers, *own.values()], {**dict.fromkeys(own, 1.0), **weights}


def open_verifiers(settings: Settings, names: Iterable[str], judge: Policy | None = None) -> list[Verifier]:
    """Those of these names, as the settings have them. Raises ``SettingsError`` and ``VerifierError``."""
    from tools.sandbox import Sandbox, Tier
    from verifiers import registry

    sandbox = Sandbox(weakest=Tier(settings.sandbox))

    def open_verifier(name: str) -> Verifier:
        if name in JUDGES:
            return judge_named(name, judge)
        with_model = {"process_reward": process_reward_of, "outcome_reward": outcome_reward_of}
        return with_model[name](settings) if name in with_model else registry.load(name, sandbox)

    return list(map(open_verifier, names))


def described(settings: Settings, weights: Mapping[str, float]) -> str:
    """Who judges, in words: the same for the same verifiers, weights and models."""
    from agent.policy.weights import version_in

    said = ", ".join(f"{name} {weight:g}" for name, weight in sorted(weights.items()))
    if (steps := process_reward_name(settings)) is not None and "process_reward" in weights:
        version = str(version_in(Path(steps))) if Path(steps).is_dir() else steps
        said += f"; steps by {version}, {settings.process_reward_by}"
    if settings.outcome_reward is not None and "outcome_reward" in weights:
        said += f"; attempts by {version_in(Path(settings.outcome_reward))}"
    return said + (f"; judge {settings.judge}" if settings.judge and needs_judge(settings) else "")


def weights_of(settings: Settings) -> Mapping[str, float]:
    """The weights for questions without a reference. Raises ``SettingsError`` and ``RewardsError``."""
    from agent.loading import load
    from verifiers.reward import SHIPPED, read_rewards

    if process_reward_name(settings) is not None:
        table = "with_steps"
    else:
        table = "without_gold" if settings.outcome_reward is None else "with_outcome"
    weights: Mapping[str, float] = SHIPPED[table]
    for spec in settings.rewards:
        if spec.endswith(".toml"):
            weights = read_rewards(Path(spec)).get(table, weights)
        else:
            weights = load(spec, "ponder.rewards")
    return weights


def check_names(settings: Settings, own: Collection[str]) -> None:
    """That every name in a file of weights is a verifier's, in the tables that are not in use too.

    Raises ``SettingsError``; ``own`` are the names of the person's own verifiers.
    """
    from verifiers import registry
    from verifiers.reward import GOLD, TRAINING, read_rewards
    from verifiers.verdict import VerifierError

    for file in (spec for spec in settings.rewards if spec.endswith(".toml")):
        for table, weights in read_rewards(Path(file)).items():
            for name in weights.keys() - {*own, *JUDGES, *MODELS} - ({GOLD} if table in TRAINING else set()):
                try:
                    registry.load(name)
                except VerifierError as error:
                    raise SettingsError(f"{file}: '{table}.{name}' weighs no verifier: {error}") from error


def needs_judge(settings: Settings) -> bool:
    """Whether a verifier on the panel asks a language model."""
    return not {*settings.verifiers, *weights_of(settings)}.isdisjoint(JUDGES)


def judge_settings(settings: Settings) -> Settings:
    """Those under which ``policy_of`` gives the judge. A key is told only to the server that it is for."""
    judge = settings.judge
    if judge is None:
        return settings
    if judge.startswith(("http://", "https://")):
        key = settings.api_key if settings.base_url and same_server(judge, settings.base_url) else None
        return settings.model_copy(update={"base_url": judge, "model": None, "api_key": key})
    return settings.model_copy(update={"model": judge} | ({"base_url": None} if Path(judge).is_dir() else {}))


def same_server(one: str, other: str) -> bool:
    a, b = urlsplit(one), urlsplit(other)
    return (a.scheme, a.netloc) == (b.scheme, b.netloc)


def judge_named(name: str, judge: Policy | None) -> Verifier:
    """Raises ``SettingsError`` where there is no model to ask."""
    from agent.policy.judging import PolicyJudge
    from verifiers.judge import PairwiseJudge, PointwiseJudge

    if judge is None:
        raise SettingsError(f"The verifier {name} asks a language model; name one in the setting judge.")
    model = PolicyJudge(judge)
    return PairwiseJudge(model) if name == PairwiseJudge.name else PointwiseJudge(model)


def process_reward_of(settings: Settings) -> Verifier:
    """By the model that ``ponder model serve --process-reward`` serves, or by one in this process.

    Raises ``SettingsError`` where there is neither, and ``VerifierError``.
    """
    from agent.policy import note
    from agent.policy.steps import StepEncoder
    from verifiers.prm_endpoint import EndpointProcessRewardModel
    from verifiers.prm_local import LocalProcessRewardModel
    from verifiers.process_reward import ProcessReward

    served, name = note.read(settings.home, "process_reward"), process_reward_name(settings)
    if name is None:
        raise SettingsError(
            "There is no process reward model: `ponder model serve MODEL --process-reward` serves one, and the setting "
            "process_reward names a folder of one."
        )
    encode = StepEncoder.load(name)
    if served:
        model = EndpointProcessRewardModel(served.base_url, served.model, encode.tag_id, served.api_key)
        return ProcessReward(model, encode, settings.process_reward_by)
    return ProcessReward(LocalProcessRewardModel.load(name, encode.tag_id), encode, settings.process_reward_by)


def outcome_reward_of(settings: Settings) -> Verifier:
    """By a model in this process. Raises ``SettingsError`` where the settings name none, and ``VerifierError``."""
    from transformers import AutoConfig

    from agent.policy.attempts import AttemptEncoder
    from verifiers.outcome_reward import OutcomeReward
    from verifiers.prm_local import LocalProcessRewardModel

    name = settings.outcome_reward
    if name is None or not Path(name, "config.json").is_file():
        raise SettingsError(
            f"There is no outcome reward model{f' in {name}' if name else ''}: `ponder train reward` makes one, and "
            "the setting outcome_reward names its folder."
        )
    center = getattr(AutoConfig.from_pretrained(name), "reward_center", None)
    if not isinstance(center, float):
        raise SettingsError(f"{name} is no outcome reward model; name a folder that `ponder train reward` wrote.")
    encode = AttemptEncoder.load(name)
    return OutcomeReward(LocalProcessRewardModel.load(name, encode.end_id), encode, center)


def process_reward_name(settings: Settings) -> str | None:
    """Of the process reward model that is served, or else that the settings name."""
    from agent.policy import note

    served = note.read(settings.home, "process_reward")
    return served.model if served else settings.process_reward


def step_delimiter_of(settings: Settings) -> str:
    """What ends a step inside a thought: what the process reward model was trained with, else a blank line."""
    from agent.policy.steps import StepEncoder

    name = process_reward_name(settings)
    return "\n\n" if name is None else StepEncoder.load(name).delimiter
