"""What the source says of its own shape, read and never run: who names a task, who imports whom, names of things.

    python tests/architecture.py [SRC]

prints every finding for the package `lamina` in the folder SRC (`src` when left out); `tests/test_architecture.py` asks
that there are none. Who outside `tasks/` asks which task it serves is found by these rules, in code without comments:

- `name`: the name of a task, as a word of an identifier, of a module or of a text. Tasks are listed from the folder.
- `import`: anything of `lamina.tasks`.
- `flag`: a word that once told tasks apart (`FLAGS`).
- `class`: a class that is defined in `tasks/`, while nothing outside has its name; none that begins with `_`.
- `state`: an attribute that is not called, or a text looked up as a key, that is a field of a class `State` in
  `tasks/` or of a settings class in its module. It may be an attribute of `self`, in this file or those beside it. A
  name is left out where it belongs to others too: to NumPy, Arrow, paths or texts (`mean`, `type`, `name`), or
  because a class, a function or an argument outside `tasks/` has it. Properties do not count as such: one that hands
  on what a state holds is what is looked for.
- `answer`: asking whether answers have a key (`"probabilities" in answers`) that only some tasks give: a key of a dict
  that a function `decode` or `table` in `tasks/` returns.
- `operation`: the name of an operation that a task declares, as an identifier or a text; not `predict`, as most do.
- `room`: the name of a file in the folder of a task, as an identifier or a text, unless a file outside has it too or it
  is a word of the whole field (`WORDS`).
- `loss`: the name of a loss compared, or looked up, outside `losses/` and `models/`.
- `prose`: the name of a task in a docstring or a comment.

What may stay is in `ALLOWED`, each with its reason.
"""

import ast
import graphlib
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

SRC = Path(__file__).parents[1] / "src"
LINES, ROOT_MODULES = 350, 12
PLUGIN_FOLDERS = ("data", "preprocess", "tasks", "models", "losses")

FLAGS = {"framed", "generative", "aimless"} | {
    "Ahead",
    "Originals",
    "GENERATION",
    "FORECASTS",
    "forecasts",
    "generates",
}
LOSSES = {"cross_entropy", "binary_cross_entropy", "multilabel", "pinball", "generation", "horizon"}
# Of files in a task's room: words that may mean something else elsewhere.
WORDS = {
    "state", "task", "operation", "experiment", "report", "plots", "evaluation", "files", "sampling", "bounds",
    "history", "encoding", "transform", "metrics", "baselines", "conditions", "requests", "panel", "labels",
    "target",
}  # fmt: skip
PHRASES = r"(?<!logistic )(?<!linear )(?<!ridge )(?<!softmax )"  # methods, and not tasks
METHODS = (np.ndarray, pa.Table, pa.Array, pa.ChunkedArray, pa.TimestampType, pa.ListType, pa.Field, Path, str, dict)
SPEAKING = (
    ast.Name, ast.Attribute, ast.arg, ast.keyword, ast.FunctionDef, ast.ClassDef, ast.alias, ast.Import, ast.ImportFrom,
    ast.Constant, ast.Compare, ast.Subscript, ast.Call,
)  # fmt: skip


class Allowed(NamedTuple):
    """What may stay: the rule, the files (a pattern of their paths inside the package), the word, and why."""

    rule: str
    files: str
    word: str
    why: str

    def covers(self, finding: "Finding") -> bool:
        exact = ((self.files, finding.file), (self.word, finding.word))
        return self.rule == finding.rule and all(re.fullmatch(pattern, text) for pattern, text in exact)


ALLOWED = (
    Allowed("name", r"data/[a-z]\w*\.py", r"\w+", "a source may say which task its data are for: a name in data"),
    Allowed("name", r"losses/\w+\.py", r"\w+", "a family of losses is called after what they are for"),
    Allowed("name", r"(schema|(models|layers)/.+)\.py", "multilabel", "a head: what a network answers, asked by name"),
    Allowed("loss", r"schema\.py", "multilabel", "the same"),
    Allowed("prose", r"(schema|(models|layers)/.+)\.py", "multilabel", "the same"),
    Allowed("state", r"(models|layers)/.+\.py", "horizon", "a setting of the head `horizon`"),
    Allowed("room", r"models/generated_image_detector\.py", "detector", "an earlier name, by which recipes have it"),
    Allowed("name", r"evaluate/metrics/\w+\.py", r"\w+", "a family of scores is called after what they are for"),
    Allowed("called", r"(layers/inception|models/linear)\.py", "beside", "a part of a network: a key of its weights"),
    Allowed("called", r"models/_recurrent\.py", "told", "the same: bundles of earlier versions have it"),
)

BANNED = {
    "found", "made", "told", "said", "seen", "asked", "given", "wanted", "looked", "sought", "kept", "lost", "held",
    "shown", "drawn", "tested", "tried", "picked", "taken", "known", "judged", "written", "meant", "begun",
    "settled", "fed", "sent", "aim", "beside", "alone", "twin", "door", "desk", "wish", "home", "ahead", "outlook",
    "originals", "framed", "aimless", "chosen", "strange", "thing",
}  # fmt: skip
COINED = {  # wherever they stand in a name: the field has another word
    "picture", "pictures", "pictured", "critic", "critics", "judge", "judgement", "judged", "blame", "blamed",
    "strangest", "made", "told", "asked", "said", "seen", "looked", "alone", "beside", "given", "chosen", "quarantine",
}  # fmt: skip
PROTOCOL = {"connection_made"}  # as asyncio calls it
SETTINGS = {"known"}  # users have written this into recipes and bundles: it is no local

# What writes: by the name of what is called, by the mode of a file that is opened, by a flag of `os.open`.
WRITERS = {
    "write_text", "write_bytes", "mkdir", "makedirs", "rmdir", "unlink", "touch", "rmtree", "copytree", "copyfile",
    "mkdtemp", "mkstemp", "TemporaryDirectory", "NamedTemporaryFile", "rename", "open_memmap", "imwrite", "tofile",
    "ParquetWriter", "CSVWriter", "savez", "to_csv", "to_parquet", "symlink_to",
}  # fmt: skip
MODE, FLAGS_OF_WRITING = re.compile(r"(?=.*[wax+])[rwaxbt+]{1,3}"), {"O_CREAT", "O_WRONLY", "O_RDWR"}
WRITES = {  # what writes beside `resources/disk.py`, and why it may
    "resources/disk.py": "the one place",
    "deploy/writers.py": "a temporary name that the one place gives",
    "deploy/batch.py": "the same",
    "deploy/bundle/__init__.py": "the same",
    "deploy/bundle/archive.py": "the same",
    "tasks/generation/files.py": "the same",
    "tasks/denoising/files.py": "the same",
    "tasks/dimensionality_reduction/files.py": "the same",
    "train/checkpoint.py": "the same",
    "run.py": "the folder of a run and its lock, which is no content",
    "preprocess/image/cache.py": "memory maps, which stay in memory where the disk is full",
    "data/_formats/text.py": "a temporary copy of what is read, guarded",
    "apps/try_app/downloads.py": "a zip in memory, which a browser takes",
    "apps/studio/processes.py": "the lock of a process, and where it writes by itself what it says",
    "cli/commands.py": "nowhere: standard output when its reader is gone",
    "preprocess/image/stderr.py": "nowhere: what libraries say",
}


class Finding(NamedTuple):
    rule: str
    file: str
    line: int
    word: str

    def __str__(self) -> str:
        return f"{self.rule:8s} {self.file}:{self.line} {self.word}"


class Module(NamedTuple):
    """A file of the package, by its path inside it."""

    path: str
    text: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]  # all of the tree

    @property
    def folder(self) -> str:
        return self.path.split("/")[0] if "/" in self.path else ""


@cache
def modules(src: Path = SRC) -> tuple[Module, ...]:
    """All Python files of the package."""
    package = src / "lamina"
    files = [(file, file.read_text("utf-8")) for file in sorted(package.rglob("*.py"))]
    return tuple(_module(str(file.relative_to(package)), text) for file, text in files)


def _module(path: str, text: str) -> Module:
    tree = ast.parse(text)
    return Module(path, text, tree, tuple(ast.walk(tree)))


def plugins(src: Path, folder: str) -> list[str]:
    """Names of the plug-ins in a folder: modules and packages that do not begin with `_`."""
    path = src / "lamina" / folder
    names = [file.stem for file in path.glob("[!_]*.py")] + [
        file.parent.name for file in path.glob("[!_]*/__init__.py")
    ]
    return sorted(names)


# who asks which task it is


def inside(module: Module) -> bool:
    return module.folder == "tasks"


def asks(src: Path = SRC) -> list[Finding]:
    """Every place outside `tasks/` that asks which task it serves, what may stay left out."""
    return [one for one in everywhere(src) if not any(allowed.covers(one) for allowed in ALLOWED)]


@cache
def everywhere(src: Path = SRC) -> tuple[Finding, ...]:
    """The same, with what may stay."""
    words = Vocabulary(src)
    places = [one for module in modules(src) if not inside(module) for one in _asked_in(module, words)]
    return tuple(dict.fromkeys(places))


class Vocabulary:
    """Words that belong to tasks, collected from their folder."""

    def __init__(self, src: Path):
        within = [module for module in modules(src) if inside(module)]
        outside = [module for module in modules(src) if not inside(module)]
        self.names = plugins(src, "tasks")
        self.word = re.compile(rf"{PHRASES}\b({'|'.join(self.names)})\b", re.IGNORECASE)
        own_names = defaultdict[Path, set[str]](set)
        for module in outside:
            own_names[Path(module.path).parent] |= _of_self(module)
        pairs = [(module, own_names[Path(module.path).parent]) for module in outside]
        self.own_attributes = {node for pair in pairs for node in _own_attributes(*pair)}
        own, others = set[str]().union(*map(_classes, within)), set[str]().union(*(_bound(m.tree) for m in outside))
        self.classes = {name for name in own - others if not name.startswith("_")}
        general = set(dir(object)).union(*(dir(thing) for thing in METHODS), *map(_defined, outside))
        self.fields = set[str]().union(*map(_state_fields, within)) - general
        keys = [_answer_keys(module) for module in within]
        self.keys = {key for key, times in Counter(key for each in keys for key in each).items() if times < len(keys)}
        self.keys -= {"prediction"}
        self.operations = set[str]().union(*map(_operations, within)) - {"predict", "explain"}  # of every sort of task
        stems = [{Path(m.path).stem for m in group} for group in (within, outside)]
        self.files = {name for name in stems[0] - stems[1] - WORDS - set(self.names) if not name.startswith("_")}

    def own(self, word: str) -> Iterator[tuple[str, str]]:
        """A word that is the name of an operation or of a file."""
        if word in self.operations:
            yield "operation", word
        if word in self.files:
            yield "room", word


def _classes(module: Module) -> set[str]:
    return {node.name for node in module.nodes if isinstance(node, ast.ClassDef)}


def _defined(module: Module) -> set[str]:
    """Names of functions, arguments and fields of classes, properties left out."""
    names = set()
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef) and not any("property" in ast.dump(d) for d in node.decorator_list):
            names |= {node.name}
        if isinstance(node, ast.ClassDef):
            names |= {one.target.id for one in node.body if _is_field(one)}
        if isinstance(node, ast.arg):
            names.add(node.arg)
    return names


def _of_self(module: Module) -> set[str]:
    nodes = [node for node in module.nodes if isinstance(node, ast.Attribute)]
    return {n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id == "self"}


def _own_attributes(module: Module, own: set[str]) -> Iterator[ast.AST]:
    """Attributes that have a name which `self` has in this folder, and methods that are called."""
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr in own:
            yield node
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func


def _is_field(node: ast.stmt) -> Any:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)


def _state_fields(module: Module) -> set[str]:
    """Fields of `State`, and of the settings classes in the same file that its fields are made of."""
    classes = {node.name: node for node in module.tree.body if isinstance(node, ast.ClassDef)}
    wanted, names = ["State"], set[str]()
    while wanted:
        node = classes.pop(wanted.pop(), None)
        for field in node.body if node else ():
            if _is_field(field):
                names.add(field.target.id)
                wanted += [n.id for n in ast.walk(field.annotation) if isinstance(n, ast.Name)]
    return names


def _operations(module: Module) -> set[str]:
    """Names of operations that a module declares."""
    calls = [n for n in module.nodes if isinstance(n, ast.Call) and ast.unparse(n.func).endswith("Operation")]
    names = [*(c.args[0] for c in calls if c.args), *(k.value for c in calls for k in c.keywords if k.arg == "name")]
    return {n.value for n in names if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def _answer_keys(module: Module) -> set[str]:
    functions = [n for n in module.nodes if isinstance(n, ast.FunctionDef) and n.name in ("decode", "table")]
    displays = [n for f in functions for n in ast.walk(f) if isinstance(n, ast.Dict)]
    return {k.value for d in displays for k in d.keys if isinstance(k, ast.Constant) and isinstance(k.value, str)}


def _asked_in(module: Module, words: Vocabulary) -> Iterator[Finding]:
    texts = _docstrings(module)
    for name in words.names:
        if name in module.path.removesuffix(".py").split("/"):
            yield Finding("name", module.path, 1, name)
    for node in module.nodes:
        if not isinstance(node, SPEAKING):
            continue
        line = getattr(node, "lineno", 0)
        for rule, word in _words_of(node, texts, words, module.folder):
            yield Finding(rule, module.path, line, word)
    for line, text in (*_comments(module.text), *((n.lineno, n.value) for n in texts)):
        for match in words.word.finditer(text):
            yield Finding("prose", module.path, line + text[: match.start()].count("\n"), match[1])


def _words_of(node: ast.AST, texts: set[Any], words: Vocabulary, folder: str) -> Iterator[tuple[str, str]]:
    """The words of one node that belong to tasks, with the rule that says so."""
    for identifier in _identifiers(node):
        if match := words.word.search(_spaced(identifier)):
            yield "name", match[1]
        if identifier in FLAGS:
            yield "flag", identifier
        if identifier in words.classes:
            yield "class", identifier
        yield from words.own(identifier)
    if isinstance(node, ast.Attribute) and node.attr in words.fields and node not in words.own_attributes:
        yield "state", node.attr
    for text in _imported(node):
        if text == "lamina.tasks" or text.startswith("lamina.tasks."):
            yield "import", text
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in texts:
        if match := words.word.search(node.value):
            yield "name", match[1]
        if node.value in FLAGS:
            yield "flag", node.value
        yield from words.own(node.value.partition(".")[0])
    yield from _looked_up(node, words, folder)


def _looked_up(node: ast.AST, words: Vocabulary, folder: str) -> Iterator[tuple[str, str]]:
    """Texts that are compared, or looked up as keys."""
    for text in _keys(node):
        if text in words.fields:
            yield "state", text
        elif text in LOSSES and folder not in ("losses", "models"):
            yield "loss", text
    member = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn)
    if member and isinstance(node.left, ast.Constant) and node.left.value in words.keys:
        yield "answer", str(node.left.value)


def _keys(node: ast.AST) -> Iterator[str]:
    parts: list[ast.AST] = []
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
        parts += [e for p in node.comparators if isinstance(p, ast.Tuple | ast.Set | ast.List) for e in p.elts]
    elif isinstance(node, ast.Subscript):
        parts = [node.slice]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        parts = list(node.args[:1])
    yield from (p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str))


def _identifiers(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
            yield name
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=other):
            yield from (name.rpartition(".")[2], *([other] if other else []))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _spaced(identifier: str) -> str:
    """`fit_regression` and `RegressionLoss` as words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", identifier).replace("_", " ").lower()


def _docstrings(module: Module) -> set[Any]:
    """Texts that stand alone: docstrings, wherever they are."""
    return {
        node.value
        for node in module.nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }


def _comments(text: str) -> list[tuple[int, str]]:
    if "#" not in text:
        return []
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


# who imports whom, and how large things are


def cycle(src: Path = SRC, type_checking: bool = False) -> list[str]:
    """Modules that import one another in a circle, or nothing; with or without imports for type checking only."""
    import grimp

    if str(src) not in sys.path:
        sys.path.insert(0, str(src))
    graph = grimp.build_graph("lamina", exclude_type_checking_imports=not type_checking, cache_dir=None)
    edges = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    if type_checking:  # the names that the package gives out are imported when they are asked for (PEP 562)
        edges["lamina"] = set()
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def at_root(src: Path = SRC) -> list[str]:
    """Modules at the root of the package."""
    return [m.path for m in modules(src) if not m.folder and m.path not in ("__init__.py", "__main__.py")]


def long_files(src: Path = SRC) -> list[str]:
    return [f"{m.path}: {n} lines" for m in modules(src) if (n := len(m.text.splitlines())) > LINES]


def no_plugins(src: Path = SRC) -> list[str]:
    """Modules and packages in a folder of plug-ins that are none: without the classes that their contract asks for."""
    contract = {"tasks": ({"Config", "State", "Task"},), "losses": ({"Config"}, {"Loss"}, {"loss"})}
    files = {module.path: module for module in modules(src)}
    faults = []
    for folder in PLUGIN_FOLDERS:
        for name in plugins(src, folder):
            path = next(p for p in (f"{folder}/{name}.py", f"{folder}/{name}/__init__.py") if p in files)
            bound = _bound(files[path].tree, imported=True)
            if not any(names <= bound for names in contract.get(folder, ({"Config"},))):
                faults.append(path)
    return faults


def _bound(tree: ast.Module, imported: bool = False) -> set[str]:
    """Names that a module has: defined, assigned or, where this is asked for, imported."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif imported and isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


# who writes


def writes(src: Path = SRC) -> list[Finding]:
    """Every call that writes, creates or removes files, outside the one place and those that may."""
    return [one for one in _writes(src) if one.file not in WRITES]


def no_writers(src: Path = SRC) -> list[str]:
    """Files that may write and do not."""
    return sorted(set(WRITES) - {one.file for one in _writes(src)})


def _writes(src: Path) -> Iterator[Finding]:
    for module in modules(src):
        for node in module.nodes:
            if isinstance(node, ast.Call) and (name := _writer(node)):
                yield Finding("writes", module.path, node.lineno, name)


def _writer(call: ast.Call) -> str:
    """The name of a call that writes, or nothing."""
    owner, _, name = ast.unparse(call.func).rpartition(".")
    if owner == "disk":
        return ""
    if name in WRITERS or (name == "replace" and owner and len(call.args) == 1 and not call.keywords):
        return name
    if name not in ("open", "ZipFile", "fdopen"):
        return ""
    texts = [a.value for a in (*call.args, *(k.value for k in call.keywords)) if isinstance(a, ast.Constant)]
    flags = {node.attr for a in call.args for node in ast.walk(a) if isinstance(node, ast.Attribute)}
    modes = any(isinstance(text, str) and MODE.fullmatch(text) for text in texts)
    return name if modes or flags & FLAGS_OF_WRITING else ""


# what things are called


def bad_names(src: Path = SRC) -> tuple[list[Finding], list[Finding]]:
    """Past participles and coinages: of what others see (functions, classes, fields, arguments, module variables,
    files), and of variables inside functions; what may stay left out.
    """
    findings = [one for one in banned_names(src) if not any(allowed.covers(one) for allowed in ALLOWED)]
    return [f for f in findings if f.rule != "local"], [f for f in findings if f.rule == "local"]


@cache
def banned_names(src: Path = SRC) -> tuple[Finding, ...]:
    """The same in one, with what may stay."""
    findings = list[Finding]()
    for module in modules(src):
        for part in module.path.removesuffix(".py").split("/"):
            if part.strip("_") in BANNED:
                findings.append(Finding("file", module.path, 1, part))
        for line, name, is_local in _names(module.tree, False):
            word = name.strip("_").lower()
            parts = set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_"))
            if (word in BANNED and (is_local or word not in SETTINGS)) or (parts & COINED and name not in PROTOCOL):
                findings.append(Finding("local" if is_local else "called", module.path, line, name))
    return tuple(findings)


def _names(tree: ast.AST, in_function: bool) -> Iterator[tuple[int, str, bool]]:
    """Line, name, and whether it is a variable inside a function, of everything that is bound."""
    nodes = [(node, in_function) for node in ast.iter_child_nodes(tree)]
    while nodes:
        node, in_function = nodes.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name, False
            case ast.arg(arg=name):
                yield node.lineno, name, False
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name, in_function
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name, False
            case ast.alias(asname=str(name)):
                yield node.lineno, name, in_function
            case ast.ExceptHandler(name=str(name)):
                yield node.lineno, name, in_function
        below = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.comprehension)
        below = below and not isinstance(node, ast.ClassDef)
        nodes += [(child, below) for child in ast.iter_child_nodes(node)]


def summary(src: Path) -> Mapping[str, list[Any]]:
    """Everything there is to find, by what it is."""
    public, local = bad_names(src)
    return {
        "places that ask which task": [one for one in asks(src) if one.rule != "prose"],
        "task names in docstrings and comments": [one for one in asks(src) if one.rule == "prose"],
        "modules at the root beyond the limit": at_root(src)[ROOT_MODULES:],
        "files that are too long": long_files(src),
        "places that write on their own": writes(src),
        "no plug-ins in folders of plug-ins": no_plugins(src),
        "names of things": public,
        "names of local variables": local,
        "one circle of imports": cycle(src),
        "one circle, with imports for type checking": cycle(src, type_checking=True),
    }


if __name__ == "__main__":
    every = summary(Path(sys.argv[1] if len(sys.argv) > 1 else SRC).resolve())
    for what, places in every.items():
        print(f"\n{what}: {len(places)}")
        print(*(f"  {place}" for place in places), sep="\n")
    print("\n" + "\n".join(f"{len(places):5d} {what}" for what, places in every.items()))
    asked = every["places that ask which task"]
    print(f"asked in {len({one.file for one in asked})} files; by rule: {dict(Counter(one.rule for one in asked))}")
