#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Loads conanfile.py and the test of its package, and runs each of their methods, against a stand-in for Conan 2.

Conan is not packaged everywhere; where it is, tests/consumer runs it. The stand-in is strict: it has the few names of
Conan that the recipes use, takes no attribute that Conan does not know, and copies files as Conan does. Faults are
planted in copies of the recipe, and found.
"""

import collections
import contextlib
import importlib.util
import json
import pathlib
import re
import shutil
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import layout  # noqa: E402
import version  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEST_PACKAGE = "packaging/conan/test_package"
ATTRIBUTES = set("""name version user channel description license author url homepage topics package_type settings options
    default_options exports exports_sources no_copy_source test_package_folder generators test_type""".split())
METHODS = set("""set_version layout requirements package_id validate package package_info build test
    config_options configure source generate""".split())


class Refused(Exception):
    pass


class Strict:
    """Has the fields it is given, and takes no others."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __setattr__(self, name, value):
        if name not in self.__dict__:
            raise AttributeError(f"Conan has no {name} here")
        self.__dict__[name] = value


class Compiler(Strict):
    def __str__(self):
        return self.name


class Version:
    def __init__(self, text):
        self.parts = [int(part) for part in text.split(".")]

    def __lt__(self, other):
        return self.parts < Version(other).parts


class Options(Strict):
    def get_safe(self, name, default=None):
        return self.__dict__.get(name, default)


class CppInfo(Strict):
    def __init__(self):
        super().__init__(bindirs=["bin"], libdirs=["lib"], includedirs=["include"], system_libs=[], requires=[],
                         properties={}, components=collections.defaultdict(CppInfo))

    def set_property(self, name, value):
        known = ("cmake_file_name", "cmake_config_version_compat", "cmake_target_name", "pkg_config_name")
        if name not in known:
            raise AttributeError(f"no generator reads the property {name}")
        self.properties[name] = value


class ConanFile:
    @classmethod
    def __init_subclass__(cls):
        for name in vars(cls):
            if not name.startswith("__") and name not in ATTRIBUTES | METHODS:
                raise AttributeError(f"Conan knows no {name} of a recipe")


def check_min_cppstd(recipe, wanted):
    if int(str(recipe.settings.compiler.cppstd).removeprefix("gnu")) < wanted:
        raise Refused(f"needs C++{wanted}")


def copy(recipe, pattern, src, dst):
    copied = [path for path in pathlib.Path(src).rglob(pattern) if path.is_file()]
    for path in copied:
        to = pathlib.Path(dst) / path.relative_to(src)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    return copied


class CMake:
    def __init__(self, recipe):
        self.recipe = recipe

    def configure(self):
        self.recipe.done.append("configure")

    def build(self):
        self.recipe.done.append("build")


STUBS = {
    "conan": {"ConanFile": ConanFile},
    "conan.errors": {"ConanInvalidConfiguration": Refused},
    "conan.tools": {},
    "conan.tools.build": {"check_min_cppstd": check_min_cppstd, "can_run": lambda recipe: True},
    "conan.tools.cmake": {"CMake": CMake, "cmake_layout": lambda recipe: recipe.done.append("layout")},
    "conan.tools.files": {"copy": copy, "load": lambda recipe, path: pathlib.Path(path).read_text()},
    "conan.tools.layout": {"basic_layout": lambda recipe: recipe.done.append("layout")},
    "conan.tools.scm": {"Version": Version},
}


@contextlib.contextmanager
def conan_installed():
    before = dict(sys.modules)
    for name, names in STUBS.items():
        module = types.ModuleType(name)
        module.__dict__.update(names)
        sys.modules[name] = module
    try:
        yield
    finally:
        sys.modules.clear()
        sys.modules.update(before)


def load(path):
    """The one recipe in the file."""
    with conan_installed():
        spec = importlib.util.spec_from_file_location("recipe", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    found = [value for value in vars(module).values()
             if isinstance(value, type) and issubclass(value, ConanFile) and value is not ConanFile]
    if len(found) != 1:
        raise Refused(f"{len(found)} recipes in {path}")
    return found[0]


def made(path, system="Linux", cppstd="20", compiler=("gcc", "12"), **chosen):
    """An object of the recipe as Conan would make it, its options as chosen."""
    recipe = load(path)()
    recipe.done, recipe.required, recipe.ran = [], [], []
    recipe.recipe_folder = str(path.parent)
    recipe.settings = Strict(os=system, arch="x86_64", build_type="Release",
                             compiler=Compiler(name=compiler[0], version=compiler[1], cppstd=cppstd))
    recipe.ref = "belay/0"
    options = getattr(type(recipe), "options", {})
    defaults = getattr(type(recipe), "default_options", {})
    for name, value in chosen.items():
        if value not in options[name]:
            raise Refused(f"{name} cannot be {value}")
    recipe.options = Options(**{name: chosen.get(name, defaults[name]) for name in options})
    recipe.requires = lambda reference, **traits: recipe.required.append((reference, traits))
    recipe.run = lambda command, env: recipe.ran.append((command, env))
    recipe.cpp_info = CppInfo()
    recipe.cpp = types.SimpleNamespace(build=types.SimpleNamespace(bindir="bin"))
    recipe.tested_reference_str = "belay/0"
    recipe.info = types.SimpleNamespace(clear=lambda: recipe.done.append("clear"))
    return recipe


def inspect(root, folder):
    """Everything that Conan does with the recipe of this tree to make a package; it is left in folder/package."""
    recipe = made(root / "conanfile.py")
    recipe.set_version()
    source = folder / "source"
    for pattern in recipe.exports_sources:
        for path in root.glob(pattern):
            to = source / path.relative_to(root)
            to.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, to)
    recipe.source_folder, recipe.package_folder = str(source), str(folder / "package")
    for method in ("layout", "requirements", "package_id", "validate", "package", "package_info"):
        getattr(recipe, method)()
    test = made(root / recipe.test_package_folder / "conanfile.py")
    for method in ("layout", "requirements", "build", "test"):
        getattr(test, method)()
    return recipe, test


# What a binding may include of other projects: the option of the recipe, its package, and the feature of the port.
# The longest beginning counts.
THIRD_PARTIES = {
    "sqlite3.h": ("with_sqlite", "sqlite3", "sqlite"),
    "hiredis/": ("with_redis", "hiredis", "redis"),
    "libpq-fe.h": ("with_postgres", "libpq", "postgres"),
    "boost/": ("with_beast", "boost", "beast"),
    "boost/asio/ssl": ("with_openssl", "openssl", "openssl"),
    "asio/": ("with_asio", "asio", "asio"),
    "openssl/": ("with_openssl", "openssl", "openssl"),
    "nlohmann/": ("with_json", "nlohmann_json", "json"),
    "fmt/": ("with_fmt", "fmt", "fmt"),
    "curl/": ("with_curl", "libcurl", "curl"),
}
# The ports of vcpkg whose names are not those of their features.
PORTS = {"beast": "boost", "json": "nlohmann-json", "postgres": "libpq", "redis": "hiredis", "sqlite": "sqlite3"}
SYSTEM = ("sys/", "error.h", "err.h", "argp.h", "fcntl.h", "poll.h", "unistd.h", "pthread.h", "netinet/", "arpa/", "errno.h",
          "dirent.h", "dlfcn.h", "elf.h", "getopt.h", "ifaddrs.h", "link.h", "netdb.h", "semaphore.h", "signal.h", "stdio.h",
          "stdio_ext.h", "stdlib.h", "threads.h", "time.h", "ucontext.h")


def included_by_bindings(root):
    """The third parties whose headers the bindings include; ValueError names one that nobody packages."""
    found = set()
    # Their foreign headers are those of the system; core has the formatter of fmt.
    here = {"posix", "windows", *(name for name in layout.LIBRARY_OF if layout.LIBRARY_OF[name] != "bindings")} - {"core"}
    for path in sorted((root / "include" / "belay").rglob("*.hpp")):
        if path.relative_to(root / "include" / "belay").parts[0] in here:
            continue
        for header in re.findall(r"^\s*#\s*include\s*[<\"]([^>\"]+)[>\"]", path.read_text(), re.MULTILINE):
            of_the_standard = "." not in header and "/" not in header
            if header.startswith(("belay/", *SYSTEM)) or of_the_standard:
                continue
            matching = [start for start in THIRD_PARTIES if header.startswith(start)]
            if not matching:
                raise ValueError(f"{path.name} includes {header}, which neither recipe nor port brings")
            found.add(THIRD_PARTIES[max(matching, key=len)])
    return found


def cmake_components(root):
    text = (root / "packaging" / "belay-components.cmake").read_text()
    return re.search(r"^set\(belay_components ([^)]*)\)", text, re.MULTILINE)[1].split()


class ConanRecipeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_the_package(self):
        recipe, _ = inspect(ROOT, self.folder)
        self.assertEqual(recipe.version, version.home(ROOT))
        self.assertEqual(recipe.license, "MIT")
        self.assertEqual(recipe.done, ["layout", "clear"])
        self.assertEqual(recipe.required, [])
        package = self.folder / "package"
        found = sorted(path.relative_to(package) for path in package.rglob("*") if path.is_file())
        wanted = [path.relative_to(ROOT) for path in (ROOT / "include").rglob("*.hpp")]
        self.assertEqual(found, sorted([*wanted, pathlib.Path("licenses/LICENSE")]))
        self.assertGreater(len(found), 200)

    def test_its_names(self):
        recipe, _ = inspect(ROOT, self.folder)
        self.assertEqual(recipe.cpp_info.properties["cmake_file_name"], "belay")
        self.assertEqual(list(recipe.cpp_info.components), ["belay"])
        component = recipe.cpp_info.components["belay"]
        self.assertEqual(component.properties, {"cmake_target_name": "belay::belay", "pkg_config_name": "belay"})
        self.assertEqual((component.includedirs, component.libdirs, component.requires), (["include"], [], []))

    def test_an_option_defines_a_component(self):
        chosen = load(ROOT / "conanfile.py").options
        recipe = made(ROOT / "conanfile.py", **{name: True for name in chosen})
        recipe.requirements()
        recipe.package_info()
        components = dict(recipe.cpp_info.components)
        del components["belay"]
        self.assertEqual(sorted(components), cmake_components(ROOT))
        for name, component in components.items():
            names = {"cmake_target_name": f"belay::{name}", "pkg_config_name": f"belay-{name}"}
            self.assertEqual(component.properties, names)
        # Conan rejects a package that requires what no component links.
        linked = sorted(library.split("::")[0] for component in components.values()
                        for library in component.requires if library != "belay")
        self.assertEqual(linked, sorted(reference.split("/")[0] for reference, _ in recipe.required))

    def test_the_standard(self):
        made(ROOT / "conanfile.py", cppstd="gnu20").validate()
        with self.assertRaises(Refused):
            made(ROOT / "conanfile.py", cppstd="gnu17").validate()

    def test_compilers(self):
        for one in (("gcc", "12"), ("gcc", "13.2"), ("clang", "14"), ("apple-clang", "15.0")):
            made(ROOT / "conanfile.py", compiler=one).validate()
        for one in (("gcc", "11.4"), ("clang", "13"), ("msvc", "193")):
            with self.assertRaises(Refused):
                made(ROOT / "conanfile.py", compiler=one).validate()

    def test_systems(self):
        libraries = {}
        for system in ("Linux", "FreeBSD", "Windows", "Macos"):
            recipe = made(ROOT / "conanfile.py", system=system)
            recipe.package_info()
            libraries[system] = recipe.cpp_info.components["belay"].system_libs
        self.assertEqual(libraries, {"Linux": ["pthread"], "FreeBSD": ["pthread"], "Windows": [], "Macos": []})

    def test_bindings_bring_what_they_bind(self):
        included = {name: package for name, package, _ in included_by_bindings(ROOT)}
        self.assertEqual(set(load(ROOT / "conanfile.py").options), set(included))
        libraries = {name: included[name] for name in load(ROOT / "conanfile.py").options}
        alone = [tuple(name == one for name in libraries) for one in libraries]
        for chosen in [*alone, (False,) * len(libraries), (True,) * len(libraries)]:
            recipe = made(ROOT / "conanfile.py", **dict(zip(libraries, chosen)))
            recipe.requirements()
            self.assertEqual([reference.split("/")[0] for reference, _ in recipe.required],
                             [name for name, on in zip(libraries.values(), chosen) if on])
            # The headers of belay include theirs.
            self.assertTrue(all(traits.get("transitive_headers") for _, traits in recipe.required))

    def test_the_port_has_a_feature_for_each(self):
        port = json.loads((ROOT / "packaging" / "vcpkg" / "vcpkg.json").read_text())
        self.assertEqual(sorted(port["features"]), sorted(feature for _, _, feature in included_by_bindings(ROOT)))
        self.assertEqual(sorted(port["features"]), cmake_components(ROOT))
        for name, feature in port["features"].items():
            port = PORTS.get(name, name)
            # Boost is many ports.
            self.assertTrue(all(each == port or each.startswith(f"{port}-") for each in feature["dependencies"]), name)
            self.assertTrue(feature["dependencies"], name)

    def test_a_binding_of_another_library_is_seen(self):
        header = self.folder / "include" / "belay" / "kafka" / "queue.hpp"
        header.parent.mkdir(parents=True)
        header.write_text("#include <vector>\n#include <sys/socket.h>\n#include <boost/asio/ssl.hpp>\n")
        self.assertEqual(included_by_bindings(self.folder), {("with_openssl", "openssl", "openssl")})
        header.write_text("#include <librdkafka/rdkafka.h>\n")
        with self.assertRaisesRegex(ValueError, "rdkafka"):
            included_by_bindings(self.folder)

    def test_the_test_of_the_package(self):
        _, test = inspect(ROOT, self.folder)
        self.assertEqual(test.required, [("belay/0", {})])
        self.assertEqual(test.done, ["layout", "configure", "build"])
        self.assertEqual(test.ran, [("bin/test_package", "conanrun")])
        build = (ROOT / TEST_PACKAGE / "CMakeLists.txt").read_text()
        self.assertIn("project(test_package ", build)
        self.assertIn("add_executable(${PROJECT_NAME} test_package.cpp)", build)
        self.assertTrue((ROOT / TEST_PACKAGE / "test_package.cpp").is_file())

    def test_faults_are_found(self):
        planted = [
            ("conanfile.py", '    license = "MIT"\n', '    license = "MIT"\n    homepage = url\n', NameError),
            ("conanfile.py", "    license =", "    licence =", AttributeError),
            ("conanfile.py", "import copy, load", "import copy, lode", ImportError),
            ("conanfile.py", "component.bindirs", "component.bindir", AttributeError),
            ("conanfile.py", '"cmake_file_name"', '"cmake_filename"', AttributeError),
            ("conanfile.py", '"version.hpp"', '"versions.hpp"', FileNotFoundError),
            ("conanfile.py", "self.info.clear()", "self.information.clear()", AttributeError),
            (f"{TEST_PACKAGE}/conanfile.py", "CMake(self)", "Cmake(self)", NameError),
        ]
        shutil.copytree(ROOT / "include", self.folder / "include")
        shutil.copytree(ROOT / TEST_PACKAGE, self.folder / TEST_PACKAGE)
        for path in ("conanfile.py", "LICENSE"):
            shutil.copy(ROOT / path, self.folder / path)
        inspect(self.folder, self.folder / "sound")
        for path, sound, faulty, error in planted:
            text = (ROOT / path).read_text()
            self.assertIn(sound, text)
            (self.folder / path).write_text(text.replace(sound, faulty))
            with tempfile.TemporaryDirectory() as made_in, self.assertRaises(error, msg=faulty):
                inspect(self.folder, pathlib.Path(made_in))
            (self.folder / path).write_text(text)


if __name__ == "__main__":
    unittest.main()
