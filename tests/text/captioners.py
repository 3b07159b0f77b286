"""Captioners to test with: a LLaVA of few, random weights, and a server that speaks the chat-completions protocol."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WORDS = (
    "the person place wears stands walks a street red blue jacket tall short hair holds nothing USER : ASSISTANT . ,"
)
TEMPLATE = (
    "{% for message in messages %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def tiny_llava(folder: Path, *, template: bool = True) -> Path:
    """A LLaVA with random weights (seed 0) and a tokenizer of a few words, saved as transformers saves any."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    special = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS.split()])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        additional_special_tokens=["<image>"],
    )
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    text = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
        bos_token_id=1,
        # no answer ends by itself, so that every one has words
        eos_token_id=None,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=4, vision_feature_layer=-1)
    )
    with torch.no_grad():
        # livelier than the usual small weights, so that answers depend on the picture; no answer has a special token
        for weight in model.parameters():
            weight.mul_(10 if weight.ndim > 1 else 1)
        model.lm_head.weight[: len(special)] = 0
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE if template else None,
    )
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


class Chat:
    """What a test server was asked, and how it answers.

    asked: every request that arrived, in order. answered: (picture digests, text) of every answer that was sent whole.
    script: called with the number of the request; returns None for a usual answer, else (status, headers, body).
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answered: list[tuple[tuple[str, ...], str]] = []
        self.script: Callable[[int], tuple[int, dict[str, str], bytes] | None] = lambda number: None
        self.reply: Callable[[str], str] = lambda text: f"The person is number {len(text)} of many words."
        self.lock = threading.Lock()
        self.url = ""

    def pictures(self, number: int) -> list[np.ndarray]:
        """The pictures of a request as H W 3 RGB, decoded."""
        content = self.asked[number]["messages"][0]["content"]
        found = []
        for part in content if isinstance(content, list) else []:
            if part["type"] == "image_url":
                kind, coded = part["image_url"]["url"].split(",")
                assert kind == "data:image/jpeg;base64"
                found.append(
                    cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
                )
        return found


@contextmanager
def chat_server() -> Iterator[Chat]:
    """A server on this machine, with its address in `url`."""
    chat = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with chat.lock:
                number = len(chat.asked)
                chat.asked.append({**body, "path": self.path})
                chat.headers.append(dict(self.headers.items()))
            planned = chat.script(number)
            content = body["messages"][0]["content"]
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            text = next(part["text"] for part in parts if part["type"] == "text")
            urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
            answer = {"choices": [{"message": {"role": "assistant", "content": chat.reply(text)}}]}
            status, headers, said = planned or (200, {}, json.dumps(answer).encode())
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(said))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)
            except OSError:
                return  # whoever asked was killed
            if planned is None:
                digests = tuple(hashlib.sha256(url.encode()).hexdigest() for url in urls)
                with chat.lock:
                    chat.answered.append((digests, text))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
