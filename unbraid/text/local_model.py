"""A captioner on this machine: any image-text-to-text model of transformers."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from unbraid.text.captioner import Question
from unbraid.text.captions import Fact

DEFAULT = "llava-hf/llava-1.5-7b-hf"


class LocalModel:
    """Asks a model through transformers: greedy decoding, bfloat16 on a GPU and float32 on a CPU.

    name: a folder with weights and processor, which nothing is downloaded for, or a name that transformers looks up
    in its cache and else downloads (DEFAULT: 14 GB). Code that comes with a model is never run. device: None is a
    GPU when there is one.

    Raises ValueError without transformers, for a folder without such a model and for a device that cannot be used;
    FileNotFoundError when weights cannot be had.
    """

    def __init__(self, name: str = DEFAULT, *, device: str | None = None, most_tokens: int = 80) -> None:
        try:
            from transformers import AutoModelForImageTextToText, AutoProcessor
        except ImportError as error:
            raise ValueError(
                f"captioning with a model on this machine needs transformers ({error}): pip install 'unbraid[text]'; "
                f"or name an --endpoint"
            ) from error
        if most_tokens < 1:
            raise ValueError(f"most_tokens = {most_tokens} must be positive")
        self.device = _device(device)
        half = self.device.type != "cpu"
        folder = Path(name)
        if not folder.is_dir() and (name.startswith((".", "/", "~")) or name.count("/") != 1):
            raise FileNotFoundError(f"there is no folder {name!r} with a model, and no model hub has such a name")
        try:
            self.processor: Any = AutoProcessor.from_pretrained(name)
            self.model: Any = AutoModelForImageTextToText.from_pretrained(
                name, dtype=torch.bfloat16 if half else torch.float32
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            if folder.is_dir():
                raise ValueError(f"{folder} holds no image-text-to-text model that can be read: {first}") from error
            raise FileNotFoundError(
                f"the model {name!r} cannot be had: {first} Give a folder that holds it, or check name and "
                "network (with HF_HUB_OFFLINE=1 only the cache is searched, at once)"
            ) from error
        self.model = self.model.to(self.device).eval()
        tokenizer = self.processor.tokenizer
        # answers follow the question at once only if short questions are padded in front
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.most_tokens = most_tokens
        # two machines have one model in different folders, so the last part of a folder is its name
        self.name = folder.resolve().name if folder.is_dir() else name
        self.settings: Mapping[str, Fact] = {
            "by": "transformers",
            "revision": getattr(self.model.config, "_commit_hash", None),
            "precision": "bfloat16" if half else "float32",
            "most_tokens": most_tokens,
        }

    @torch.inference_mode()
    def __call__(self, questions: Sequence[Question]) -> Iterator[tuple[int, str]]:
        """Numbers of the questions with their answers; those with equally many pictures are asked together."""
        groups: dict[int, list[int]] = {}
        for number, question in enumerate(questions):
            groups.setdefault(len(question.frames), []).append(number)
        for pictures, numbers in groups.items():
            answers = self._generate([questions[n] for n in numbers], pictures)
            yield from zip(numbers, answers, strict=True)

    def _generate(self, questions: Sequence[Question], pictures: int) -> list[str]:
        inputs = self.processor(
            text=[self._spoken(question) for question in questions],
            images=[list(question.frames) for question in questions] if pictures else None,
            padding=True,
            return_tensors="pt",
        ).to(self.device)
        for name, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[name] = value.to(self.model.dtype)
        written = self.model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=self.most_tokens,
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )
        new = written[:, inputs["input_ids"].shape[1] :]
        return list(self.processor.batch_decode(new, skip_special_tokens=True))

    def _spoken(self, question: Question) -> str:
        """The question in the model's own form of a talk, else in LLaVA's first one."""
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image"} for _ in question.frames] + [{"type": "text", "text": question.text}]
            talk = [{"role": "user", "content": content}]
            return str(self.processor.apply_chat_template(talk, add_generation_prompt=True))
        image = str(getattr(self.processor, "image_token", "<image>"))
        return f"USER: {''.join(f'{image} ' for _ in question.frames)}{question.text} ASSISTANT:"


def _device(name: str | None) -> torch.device:
    wanted = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {wanted!r} cannot be used ({str(error).splitlines()[0]}); try 'cpu'") from error


def downloads(name: str) -> bool:
    """Whether a model's weights may have to be downloaded: it is no folder, and the network is not switched off."""
    return not Path(name).is_dir() and os.environ.get("HF_HUB_OFFLINE", "0") in ("", "0")
