"""YAML as users mean it: every key once, ``1e5`` is a number, and a number with a leading zero is an error."""

from __future__ import annotations

import re
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Safe YAML 1.1 without its traps.

    A key that comes twice is an error, ``1e5`` is a number, and so are the integers that YAML 1.1 would read in another
    base: ``010`` is no 8, ``1:30`` no 90.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; ConstructorError if a key comes twice."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_whole_number(self, node: yaml.ScalarNode) -> int:
        """A decimal integer; ConstructorError where YAML 1.1 reads another base."""
        if not re.fullmatch(r"[-+]?(0|[1-9][0-9_]*)", node.value):
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value} is no decimal number; write it without leading zeros", node.start_mark
            )
        return int(node.value.replace("_", ""))


Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_whole_number)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)
