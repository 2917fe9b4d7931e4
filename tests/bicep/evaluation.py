"""Evaluates a template with its parameters into the resources that it would deploy.

No compiler and no Azure: values that only a deployment knows become `Later` texts. Everything is
evaluated on demand, so a reference to what is not deployed shows as an error, as it would there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.bicep.deployments import Absent, Deployment, EvaluationError, Resource
from tests.bicep.functions import FUNCTIONS, METHODS, Later, resource_path
from tests.bicep.syntax import parse_file
from tests.bicep.tree import (
    Array,
    Call,
    Choice,
    Condition,
    Index,
    Lambda,
    Literal,
    Loop,
    Member,
    Name,
    Node,
    Object,
    Operation,
    Statement,
    Text,
)

_TYPES: Final[dict[str, Any]] = {
    "string": str,
    "int": int,
    "bool": bool,
    "object": dict,
    "array": list,
}


def evaluate(path: Path, parameters: dict[str, Any], environment: dict[str, str]) -> Deployment:
    """Deploy a template in thought."""
    return Template(path, parameters, environment, "/subscriptions/sub").deploy()


def parameters_of(path: Path, environment: dict[str, str]) -> tuple[Path, dict[str, Any]]:
    """The template that a .bicepparam file is for, and its values."""
    statements = parse_file(path)
    (using,) = [each.type for each in statements if each.kind == "using"]
    scope = Template(path, {}, environment, "")
    values = {
        each.name: scope.value(each.value, {})
        for each in statements
        if each.kind == "param" and each.value is not None
    }
    return (path.parent / using).resolve(), values


class Template:
    """One file with its parameters; names are evaluated when they are first asked for."""

    def __init__(
        self, path: Path, parameters: dict[str, Any], environment: dict[str, str], scope: str
    ) -> None:
        self.path = path
        self._statements = parse_file(path)
        self._named = {
            each.name: each
            for each in self._statements
            if each.kind in ("param", "var", "resource", "module")
        }
        self._given = parameters
        self._environment = environment
        self._scope = scope
        self._known: dict[str, Any] = {}
        self._busy: set[str] = set()
        self.deployment = Deployment()

    def deploy(self) -> Deployment:
        """Every resource and output of the file and of its modules."""
        for statement in self._statements:
            if statement.kind in ("param", "var", "resource", "module"):
                self._lookup(statement.name, statement.line)
        for statement in self._statements:
            if statement.kind == "output" and statement.value is not None:
                self.deployment.outputs[statement.name] = self._output(statement)
        return self.deployment

    def _output(self, statement: Statement) -> Any:
        assert statement.value is not None
        value = self.value(statement.value, {})
        self._check_type(statement, value)
        return value

    def _fault(self, line: int, text: str) -> EvaluationError:
        return EvaluationError(f"{self.path.name}:{line}: {text}")

    def _lookup(self, name: str, line: int) -> Any:
        if name in self._known:
            return self._known[name]
        statement = self._named.get(name)
        if statement is None:
            raise self._fault(line, f"{name} is not declared")
        if name in self._busy:
            raise self._fault(line, f"{name} depends on itself")
        self._busy.add(name)
        self._known[name] = self._declared(statement)
        self._busy.discard(name)
        return self._known[name]

    def _declared(self, statement: Statement) -> Any:
        if statement.kind == "param":
            return self._parameter(statement)
        assert statement.value is not None
        if statement.kind == "var":
            return self.value(statement.value, {})
        return self._deployed(statement, statement.value, {})

    def _parameter(self, statement: Statement) -> Any:
        if statement.name in self._given:
            value = self._given[statement.name]
        elif statement.value is not None:
            value = self.value(statement.value, {})
        else:
            raise self._fault(statement.line, f"{statement.name} has no value")
        self._check_type(statement, value)
        for limit, holds in (
            ("minLength", lambda bound: len(value) >= bound),
            ("maxLength", lambda bound: len(value) <= bound),
            ("minValue", lambda bound: value >= bound),
            ("maxValue", lambda bound: value <= bound),
            ("allowed", lambda bound: value in bound),
        ):
            if limit in statement.decorators:
                bound = self.value(statement.decorators[limit][0], {})
                if not holds(bound):
                    raise self._fault(statement.line, f"{statement.name} breaks {limit}")
        return value

    def _check_type(self, statement: Statement, value: Any) -> None:
        declared = statement.type.removesuffix("?")
        expected = list if declared.endswith("[]") else _TYPES.get(declared)
        if expected is None:
            raise self._fault(statement.line, f"{declared} is no type that we use")
        wrong = not isinstance(value, expected) or (expected is int and isinstance(value, bool))
        if wrong and not isinstance(value, Later):
            raise self._fault(statement.line, f"{statement.name} is not a {declared}")

    # Resources and modules

    def _deployed(self, statement: Statement, body: Node, local: dict[str, Any]) -> Any:
        if isinstance(body, Loop):
            return [
                self._deployed(statement, body.body, local | names)
                for names in self._turns(body, local)
            ]
        if isinstance(body, Condition):
            if not self.value(body.condition, local):
                return Absent(statement.name)
            return self._deployed(statement, body.body, local)
        values = self.value(body, local)
        if statement.kind == "module":
            return self._module(statement, values)
        return self._resource(statement, values)

    def _resource(self, statement: Statement, body: dict[str, Any]) -> Resource:
        kind, _, version = statement.type.partition("@")
        parent, scope = body.pop("parent", None), body.pop("scope", None)
        for dependency in body.pop("dependsOn", []):
            if not isinstance(dependency, Resource | Deployment | Absent | list):
                raise self._fault(statement.line, "dependsOn names something else")
        place = self._scope
        if isinstance(scope, Resource):
            place = scope.id
        elif isinstance(scope, str):
            place = scope
        resource = Resource(
            statement.name, kind, version, body, statement.existing, self.path.name, place, parent
        )
        if parent is not None and parent.type != kind.rpartition("/")[0]:
            raise self._fault(statement.line, f"{parent.type} is no parent of {kind}")
        if resource.name.count("/") != kind.count("/") - 1:
            raise self._fault(statement.line, f"{resource.name!r} is no name of a {kind}")
        self.deployment.resources.append(resource)
        return resource

    def _module(self, statement: Statement, body: dict[str, Any]) -> Deployment:
        scope = body.get("scope", self._scope)
        if isinstance(scope, Resource):
            scope = scope.id.replace(
                "/providers/Microsoft.Resources/resourceGroups/", "/resourceGroups/"
            )
        template = Template(
            self.path.parent / statement.type, body.get("params", {}), self._environment, scope
        )
        unknown = set(body.get("params", {})) - {
            each.name for each in template._statements if each.kind == "param"
        }
        if unknown:
            raise self._fault(statement.line, f"{statement.name} knows no {sorted(unknown)}")
        done = template.deploy()
        self.deployment.resources.extend(done.resources)
        return done

    # Expressions

    def _turns(self, loop: Loop, local: dict[str, Any]) -> list[dict[str, Any]]:
        turns = []
        for number, item in enumerate(self.value(loop.source, local)):
            names = {loop.item: item}
            if loop.index:
                names[loop.index] = number
            turns.append(names)
        return turns

    def value(self, node: Node | None, local: dict[str, Any]) -> Any:
        """What an expression comes to; `local` are the names of loops and lambdas."""
        match node:
            case Literal(value=value):
                return value
            case Text(parts=parts):
                texts = [p if isinstance(p, str) else self._text(p, local) for p in parts]
                joined = "".join(texts)
                return Later(joined) if any(isinstance(text, Later) for text in texts) else joined
            case Name(line=line, name=name):
                return local[name] if name in local else self._lookup(name, line)
            case Array(items=items):
                return [self.value(item, local) for item in items]
            case Object(pairs=pairs):
                return {str(self.value(key, local)): self.value(v, local) for key, v in pairs}
            case Choice(condition=condition, yes=yes, no=no):
                return self.value(yes if self.value(condition, local) else no, local)
            case Loop(body=body):
                return [self.value(body, local | names) for names in self._turns(node, local)]
            case Lambda(parameters=names, body=body):
                return lambda *given: self.value(
                    body, local | dict(zip(names, given, strict=False))
                )
            case Operation():
                return self._operation(node, local)
            case Member() | Index():
                return self._member(node, local)
            case Call():
                return self._call(node, local)
        raise TypeError(node)

    def _text(self, node: Node, local: dict[str, Any]) -> str:
        value = self.value(node, local)
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str | int):
            raise self._fault(node.line, f"a {type(value).__name__} inside a string")
        return value if isinstance(value, str) else str(value)

    def _operation(self, node: Operation, local: dict[str, Any]) -> Any:
        left = self.value(node.operands[0], local)
        match node.sign, len(node.operands):
            case "!", 1:
                return not left
            case "-", 1:
                return -left
            case "&&", 2:
                return bool(left) and bool(self.value(node.operands[1], local))
            case "||", 2:
                return bool(left) or bool(self.value(node.operands[1], local))
            case "??", 2:
                return left if left is not None else self.value(node.operands[1], local)
        right = self.value(node.operands[1], local)
        results: dict[str, Any] = {"==": left == right, "!=": left != right}
        if node.sign not in results:
            results |= {
                "<": lambda: left < right, ">": lambda: left > right,
                "<=": lambda: left <= right, ">=": lambda: left >= right,
                "+": lambda: left + right, "-": lambda: left - right,
                "*": lambda: left * right, "/": lambda: left // right,
                "%": lambda: left % right,
            }  # fmt: skip
            return results[node.sign]()
        return results[node.sign]

    def _member(self, node: Member | Index, local: dict[str, Any]) -> Any:
        on = self.value(node.on, local)
        key = node.name if isinstance(node, Member) else self.value(node.index, local)
        match on:
            case Absent():
                raise self._fault(node.line, f"{on.symbol} is used and not deployed")
            case Resource():
                return self._of_resource(on, key)
            case Deployment():
                if key != "outputs":
                    raise self._fault(node.line, f"a module has no {key}")
                return on.outputs
            case Later():
                return on.later(str(key))
            case dict() if key in on:
                return on[key]
            case dict() if isinstance(node, Member) and node.safe:
                return None
            case list() if isinstance(key, int) and key < len(on):
                return on[key]
        raise self._fault(node.line, f"there is no {key!r}")

    def _of_resource(self, resource: Resource, key: str) -> Any:
        if key == "id":
            return resource.id
        if key == "name":
            return str(resource.body["name"])
        if key == "location" and key in resource.body:
            return resource.body[key]
        return Later(f"<{resource.symbol}.{key}>")

    def _call(self, node: Call, local: dict[str, Any]) -> Any:
        arguments = [self.value(argument, local) for argument in node.arguments]
        if node.on is not None:
            if node.name not in METHODS:
                raise self._fault(node.line, f"{node.name} is no method that we use")
            on = self.value(node.on, local)
            return Later(f"<{on.symbol}.{node.name}()>")
        match node.name:
            case "loadJsonContent":
                return json.loads((self.path.parent / arguments[0]).read_text("utf-8"))
            case "loadTextContent":
                return (self.path.parent / arguments[0]).read_text("utf-8")
            case "readEnvironmentVariable":
                return self._variable(node.line, *arguments)
            case "resourceGroup" if arguments:
                return f"/subscriptions/sub/resourceGroups/{arguments[-1]}"
            case "resourceGroup":
                return {"id": self._scope, "name": self._scope.rpartition("/")[2]}
            case "resourceId":
                kind, *names = arguments
                return f"{self._scope}/providers/{resource_path(kind, names)}"
            case "listKeys":
                return Later(f"<{arguments[0]}.listKeys()>")
            case "deployment":
                return {"name": self.path.stem}
        if node.name not in FUNCTIONS:
            raise self._fault(node.line, f"{node.name} is no function that we use")
        result = FUNCTIONS[node.name](*arguments)
        late = any(isinstance(argument, Later) for argument in arguments)
        return Later(result) if late and isinstance(result, str) else result

    def _variable(self, line: int, name: str, fallback: str | None = None) -> str:
        if name in self._environment:
            return self._environment[name]
        if fallback is None:
            raise self._fault(line, f"the environment has no {name}")
        return fallback
