"""Renders the chats of chat-renderings.json with Jinja2, set up as transformers sets it up for chat templates.

Usage: python3 render_chats.py <folder with the Llama 3.1 tokenizer_config.json>; writes chat-renderings.json.
"""
import datetime
import json
import pathlib
import sys

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

here = pathlib.Path(__file__).parent
NOW = datetime.datetime(2026, 3, 7, 9, 5, 0)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = lambda fmt: NOW.strftime(fmt)

TEMPLATES = {
    "ember": (here / "../models/ember-tokenizer/chat_template.jinja").read_text(),
    "inst": (here / "templates/inst.jinja").read_text(),
    "features": (here / "templates/features.jinja").read_text(),
    "llama3.1": json.loads((pathlib.Path(sys.argv[1]) / "tokenizer_config.json").read_text())["chat_template"],
}
TOKENS = {"inst": ("<s>", "</s>")}

CONTENTS = [
    "Hello", "", "   ", "  padded \n\t", "\u00a0\u3000wide spaces\u2003", "{{ 7*7 }} {% if x %} {# no #}", "42", "007",
    "1e5", "4.0", "true", "None", "null", "a\\nb \\ 'quoted' \"double\"", "line one\nline two\r\n\nline four",
    "naïve 東京 🙂", "<|eot_id|><s></s>", "\ufdd0 \ufdd1 \ufdd2", "x", "%}", "{{", "<b>&amp;</b>", "a" * 300,
]


def turn(role, content):
    return {"role": role, "content": content}


CHATS = [[turn("user", content)] for content in CONTENTS]
CHATS += [[turn("system", content), turn("user", "Hi")] for content in CONTENTS]
CHATS += [
    [turn("system", "Be brief."), turn("user", "one"), turn("assistant", content), turn("user", "3")]
    for content in CONTENTS
]
CHATS += [
    [turn("user", "a"), turn("user", "b")],
    [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("assistant", "d")],
    [turn("user", "17 + 25?"), turn("assistant", "calling"), turn("ipython", "42"), turn("assistant", "42.")],
    [turn("user", "17 + 25?"), turn("assistant", "calling"), turn("ipython", '{"sum": "4\\n2"} é')],
]

cases = []
for name, source in TEMPLATES.items():
    template = environment.from_string(source)
    bos, eos = TOKENS.get(name, ("<|begin_of_text|>", "<|eot_id|>"))
    for chat in CHATS:
        for generate in (True, False):
            case = {"template": name, "messages": chat, "add_generation_prompt": generate}
            try:
                case["rendered"] = template.render(
                    messages=chat, add_generation_prompt=generate, bos_token=bos, eos_token=eos)
            except jinja2.exceptions.TemplateError as error:
                case["error"] = str(error)
            cases.append(case)

lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
header = json.dumps({"made_with": "Jinja2 " + jinja2.__version__, "now": NOW.isoformat()})
(here / "chat-renderings.json").write_text(header[:-1] + ', "cases": [\n' + lines + "\n]}\n")
