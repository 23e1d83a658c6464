"""Reads method, path, name and published scope of each operation out of the code of generated clients.

Only these facts are taken. What comes out is an OpenAPI document, so that `remit catalog import` reads it like any other.
"""
import ast, json, os, re

VERBS = {"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD"}
# In docstrings: `scope: files.read` (Stone), `<b>Required scope: </b><code>tasks:write</code>` (Asana).
SCOPE = re.compile(r"(?:^\s*scope:|Required scope:\s*(?:</b>)?)\s*(?:<code>|``)?\s*([\w.:/-]+)", re.M)
STEM = re.compile(r"(_api|_client|_raw_client)$")


def snake(text):
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", text).lower()


class Reader(ast.NodeVisitor):
    """The operations of one module."""

    def __init__(self, module, constants=()):
        self.module, self.found, self.stack = module, [], []
        self.known = dict(constants)

    def visit_ClassDef(self, node):
        self.stack.append(node.name)
        self.generic_visit(node)
        self.stack.pop()

    def visit_FunctionDef(self, node):
        self.operation(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def operation(self, function):
        names, settings, calls = dict(self.known), [], []
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                value = self.text(node.value, names)
                if value and "/" in value:
                    names.setdefault(node.targets[0].id, []).append(value) if isinstance(names.get(node.targets[0].id), list) else names.__setitem__(node.targets[0].id, [value])
            elif isinstance(node, ast.Dict):
                settings.append(node)
            elif isinstance(node, ast.Call):
                calls.append(node)
        name = function.name
        doc = ast.get_docstring(function) or ""
        if name == "__init__":
            # Settings of endpoints of this class: Datadog, Plaid, Klaviyo, Okta.
            for one in settings:
                said = {key.value: value for key, value in zip(one.keys, one.values) if isinstance(key, ast.Constant)}
                if {"endpoint_path", "http_method"} <= said.keys():
                    verb, path, ident = (self.text(said.get(key), names) for key in ("http_method", "endpoint_path", "operation_id"))
                    if verb and path:
                        self.found.append((verb, path, ident or "", doc, ""))
            return
        for call in calls:
            for verb, path in self.read(call, names):
                self.found.append((verb, path, name, doc, self.stack[-1] if self.stack else ""))

    def read(self, call, names):
        attribute = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = [self.text(value, names, True) for value in call.args]
        named = {word.arg: self.text(word.value, names, True) for word in call.keywords if word.arg}
        verb = next((v.upper() for v in [named.get("method"), named.get("http_method"), named.get("verb")] + given if isinstance(v, str) and v.upper() in VERBS), None)
        if not verb:
            plain = attribute.strip("_").lower()
            verb = plain.upper() if plain.upper() in VERBS and attribute.startswith("_") else None
            if attribute in ("get_api_list",):
                verb = "GET"
        if not verb:
            return
        for key in ("path", "url", "resource_path", "url_path_template", "api_endpoint"):
            if named.get(key):
                given.insert(0, named[key])
        for value in given:
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, str) and (path.startswith("/") or (re.match(r"[\w.{}-]+(/|$)", path) and "/" in path or path == named.get("path"))) and path.upper() not in VERBS and " " not in path:
                    yield verb, path
                elif isinstance(path, str) and value is given[0] and re.fullmatch(r"[a-z_\-]+", path) and attribute == "request" and path.upper() not in VERBS:
                    yield verb, path
                else:
                    continue
                if not isinstance(value, list):
                    return

    def text(self, node, names, several=False):
        """A string, with `{x}` for what is only known when it runs."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.JoinedStr):
            return "".join(part.value if isinstance(part, ast.Constant) else self.hole(part.value) for part in node.values)
        if isinstance(node, ast.Name):
            value = names.get(node.id)
            if isinstance(value, list):
                return value if several else value[0]
            return value
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.text(node.left, names), self.text(node.right, names)
            return (left if left is not None else self.hole(node.left)) + (right if right is not None else self.hole(node.right))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            return self.text(node.left, names)
        if isinstance(node, ast.IfExp):
            return self.text(node.body, names)
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == "join" and node.args and isinstance(node.args[0], ast.List):
                return "".join(self.text(item, names) or self.hole(item) for item in node.args[0].elts)
            if name in ("get_resource_url", "path_template", "format", "maybe_transform_path", "urljoin", "lstrip", "rstrip") or name.endswith("path_template"):
                inner = node.func.value if name in ("format", "lstrip", "rstrip") and isinstance(node.func, ast.Attribute) else (node.args[0] if node.args else None)
                return self.text(inner, names)
        return None

    def hole(self, node):
        if isinstance(node, ast.Call) and node.args:
            return self.hole(node.args[0])
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return "{%s}" % node.slice.value
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "x")
        if name in ("base_url", "upload_url", "_base_path"):
            return ""
        return "{%s}" % name.strip("_")


def python(folder, only=r"", skip=r"(^|/)(async_|_async|aio|tests?|docs?)(/|$|_)", prefix="", drop=r"^(https?://[^/]+)?"):
    """Yields verb, path, name, docstring of all operations in the modules below `folder`."""
    seen = set()
    for root, _, files in sorted(os.walk(folder)):
        for file in sorted(files):
            path = os.path.join(root, file)
            within = os.path.relpath(path, folder)
            if not file.endswith(".py") or re.search(skip, within) or not re.search(only, within):
                continue
            reader = Reader(within)
            try:
                reader.visit(ast.parse(open(path, encoding="utf-8").read()))
            except SyntaxError:
                continue
            stem = STEM.sub("", os.path.basename(root) if file in ("raw_client.py", "__init__.py", "client.py") else file[:-3])
            for verb, place, name, doc, _ in reader.found:
                place = re.sub(drop, "", place).split("?")[0]
                place = prefix + "/" + place.lstrip("/")
                place = re.sub(r"/+", "/", place)
                name = re.sub(r"(_with_http_info|_endpoint|_async|_serialize|_without_preload_content|_with_response)$", "", name.lstrip("_"))
                if (verb, place) in seen:
                    continue
                seen.add((verb, place))
                yield verb, place, name if "." in name or len(name) > 24 else f"{stem}.{name}", doc


def document(title, version, operations, hosts=(), scope=SCOPE):
    """An OpenAPI document of operations."""
    paths = {}
    for verb, place, name, doc in operations:
        one = {"operationId": name}
        found = scope.search(doc or "") if scope else None
        if found:
            one["security"] = [{"oauth2": [found.group(1)]}]
        paths.setdefault(place, {}).setdefault(verb.lower(), one)
    servers = [{"url": f"https://{host}"} for host in hosts]
    return {"openapi": "3.1.0", "info": {"title": title, "version": version}, "servers": servers, "paths": paths}


def typescript_routes(text):
    """discord-api-types: `Route for:` and a list of ` - GET `/path/{x.id}``."""
    comment = re.compile(r"/\*\*(.*?)\*/\s*(\w+)\(", re.S)
    line = re.compile(r"-\s+(GET|PUT|POST|DELETE|PATCH)\s+`(/[^`]*)`")
    for body, name in comment.findall(text):
        for verb, place in line.findall(body):
            yield verb, re.sub(r"\{([^}]*)\}", lambda m: "{%s}" % re.sub(r"\W", "_", m.group(1)), place.split("?")[0]), f"{name}.{verb.lower()}", ""


def javascript(text):
    """Generated clients of JavaScript: a path, then a verb, in a function that is named after the operation."""
    path = r"(?:url:|localVarPath =)\s*(?:this\.basePath \+\s*)?([`'\"])(/[^`'\"\n]*)\1"
    verb = r"(?:method:\s*|undefined, |accessToken, |createRequest\()[`'\"](GET|PUT|POST|DELETE|PATCH)[`'\"]"
    both = r"createRequest\('(GET|PUT|POST|DELETE|PATCH)',\s*(?:[\w.]*`|')([^`']+)"
    named = re.compile(r"(?:async |prototype\.|^    |\.)(\w+)(?: = function)?\s*(?:<[^>\n]*>)?\(", re.M)
    for found in re.finditer(both, text):
        yield found.group(1), tidy(found.group(2)), name_before(named, text, found.start()), ""
    for found in re.finditer(r"createRequest\('(GET|PUT|POST|DELETE|PATCH)'\);(?:(?!createRequest).)*?__makeTemplateObject\(\[([^\]]*)\]", text, re.S):
        place = "{x}".join(json.loads(f"[{found.group(2)}]"))
        yield found.group(1), place, name_before(named, text, found.start()), ""
    for found in re.finditer(path, text):
        after = re.search(verb, text[found.end(): found.end() + 4000])
        if after:
            yield after.group(1), tidy(found.group(2)), name_before(named, text, found.start()), ""


def chained(text):
    """hey-api: `const createX = (options) => (…).post({… url: "/x/{y}"`."""
    for name, verb, place in re.findall(r"\b(\w+) = \(options\) => \(.{0,80}?\)\.(get|put|post|delete|patch)\(\{.{0,400}?url: [\"`](/[^\"`]+)", text, re.S):
        yield verb.upper(), tidy(place), name, ""


def tidy(place):
    place = re.sub(r"\$\{[^}]*?(\w+)\)?\}", r"{\1}", place)
    return re.sub(r"(?<=/):(\w+)", r"{\1}", place).split("?")[0]


def name_before(named, text, at):
    names = [n for n in named.findall(text[max(0, at - 2500): at]) if n not in NOT_NAMES]
    return names[-1] if names else ""


NOT_NAMES = {"function", "if", "for", "catch", "return", "String", "encodeURIComponent", "replace", "assign", "indexOf", "join", "map", "Error", "URLSearchParams", "__awaiter", "__generator", "toString", "switch", "stringify", "serialize", "createRequest"}


def table_of_endpoints(text):
    """@notionhq/client: `const getUser = {method: "get", …, path: (p) => `users/${p.user_id}`}`."""
    for name, verb, place in re.findall(r"(\w+) = \{\s*method: \"(\w+)\"(?:(?!method:).)*?path: \([^)]*\) => [`\"]([^`\"]+)", text, re.S):
        yield verb.upper(), "/" + tidy(place), name, ""


def stone(folder):
    """Dropbox: route objects in a module a namespace, and a method with a docstring for each."""
    routes, operations = {}, []
    for file in os.listdir(folder):
        if file.endswith(".py"):
            text = open(os.path.join(folder, file)).read()
            for symbol, route, version, style in re.findall(r'^(\w+) = bb\.Route\(\s*"([^"]+)",\s*(\d+),.*?\{(.*?)\}', text, re.S | re.M):
                host = re.search(r'"host": "(\w+)"', style)
                routes[(file[:-3], symbol)] = (route if version == "1" else f"{route}_v{version}", host.group(1) if host else "api")
    for file in ("base.py", "base_team.py"):
        for function in ast.walk(ast.parse(open(os.path.join(folder, file)).read())):
            if isinstance(function, ast.FunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "request" and isinstance(call.args[0], ast.Attribute):
                        space, symbol = call.args[1].value, call.args[0].attr
                        if (space, symbol) in routes:
                            operations.append((space, routes[(space, symbol)], ast.get_docstring(function) or ""))
    seen = set()
    for space, (route, host), doc in operations:
        if (space, route) not in seen:
            seen.add((space, route))
            yield host, "POST", f"/2/{space}/{route}", f"{space}/{route}", doc


def graphql_documents(text):
    """Root fields of the documents that a generated client sends, as a schema."""
    roots = {"query": set(), "mutation": set()}
    for kind, body in re.findall(r"\b(query|mutation)\s+\w+\s*(?:\([^{]*?\))?\s*\{\s*((?:\w+\s*:\s*)?\w+)", text):
        roots[kind].add(body.split(":")[-1].strip())
    lines = []
    for kind, fields in roots.items():
        lines.append("type %s {" % kind.capitalize())
        lines += [f"  {field}: String" for field in sorted(fields)]
        lines.append("}")
    return "\n".join(lines) + "\n"


def write(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(value if isinstance(value, str) else json.dumps(value))
    return path
