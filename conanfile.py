# SPDX-License-Identifier: MIT
# Packages the checkout that it is part of: conan create . -s compiler.cppstd=20
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load
from conan.tools.layout import basic_layout
from conan.tools.scm import Version

required_conan_version = ">=2.0"

# For each component: the library that its bindings include, and what this library calls its target. The versions are ConanCenter's,
# whose rules allow a range for the stable ones only.
COMPONENTS = {
    "asio": ("asio/1.28.1", "asio::asio"),
    "beast": ("boost/1.86.0", "boost::headers"),
    "curl": ("libcurl/[>=7.78 <9]", "libcurl::libcurl"),
    "fmt": ("fmt/11.0.2", "fmt::fmt"),
    "json": ("nlohmann_json/3.11.3", "nlohmann_json::nlohmann_json"),
    "openssl": ("openssl/[>=1.1.1 <4]", "openssl::openssl"),
    "postgres": ("libpq/15.5", "libpq::pq"),
    "redis": ("hiredis/1.2.0", "hiredis::hiredis"),
    "sqlite": ("sqlite3/3.47.2", "sqlite3::sqlite3"),
}

# The oldest version of each compiler that compiles belay; None: no version does.
COMPILERS = {"gcc": "12", "clang": "14", "msvc": None}


def define_component(cpp_info, name, pkg_config_name):
    component = cpp_info.components[name]
    component.bindirs = []
    component.libdirs = []
    component.set_property("cmake_target_name", f"belay::{name}")
    component.set_property("pkg_config_name", pkg_config_name)
    return component


class BelayConan(ConanFile):
    name = "belay"
    description = "Keeps programs working while their connections fall: retries, queues, sessions, simulation"
    license = "MIT"
    topics = ("retry", "backoff", "circuit-breaker", "offline-first", "reconnect", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {f"with_{name}": [True, False] for name in COMPONENTS}
    default_options = {f"with_{name}": False for name in COMPONENTS}
    exports_sources = "LICENSE", "include/*"
    no_copy_source = True
    test_package_folder = "packaging/conan/test_package"

    def set_version(self):
        header = load(self, os.path.join(self.recipe_folder, "include", "belay", "version.hpp"))
        self.version = ".".join(re.findall(r"#define BELAY_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))

    def layout(self):
        # No src_folder: the sources are exported with the recipe, not fetched into a folder beside it.
        basic_layout(self)

    def requirements(self):
        for name, (reference, _) in COMPONENTS.items():
            if self.options.get_safe(f"with_{name}"):
                self.requires(reference, transitive_headers=True, transitive_libs=True)

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)
        compiler, version = str(self.settings.compiler), str(self.settings.compiler.version)
        oldest = COMPILERS.get(compiler, "0")
        if oldest is None or Version(version) < oldest:
            raise ConanInvalidConfiguration(f"{self.ref} needs GCC 12 or Clang 14, or later; {compiler} {version} does not compile it")

    def package(self):
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        copy(self, "*.hpp", src=os.path.join(self.source_folder, "include"),
             dst=os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "belay")
        self.cpp_info.set_property("cmake_config_version_compat", "SameMinorVersion")
        # All components at once.
        self.cpp_info.set_property("cmake_target_name", "belay::all")
        self.cpp_info.set_property("pkg_config_name", "belay-all")
        headers = define_component(self.cpp_info, "belay", "belay")
        if self.settings.os in ("Linux", "FreeBSD"):
            # Threads are in the C library only since glibc 2.34.
            headers.system_libs = ["pthread"]
        for name, (_, library) in COMPONENTS.items():
            if self.options.get_safe(f"with_{name}"):
                define_component(self.cpp_info, name, f"belay-{name}").requires = ["belay", library]
