# SPDX-License-Identifier: MIT
# Packages the checkout that it is part of: conan create . -s compiler.cppstd=20
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"

# What a binding includes, and what it asks of that library.
LIBRARIES = {
    "with_sqlite3": "sqlite3/[>=3.40 <4]",
    "with_hiredis": "hiredis/[>=1.0 <2]",
    "with_boost": "boost/[>=1.74 <2]",
    "with_asio": "asio/[>=1.22 <2]",
    "with_fmt": "fmt/[>=9 <13]",
    "with_openssl": "openssl/[>=1.1.1 <4]",
    "with_nlohmann_json": "nlohmann_json/[>=3.9 <4]",
    "with_libcurl": "libcurl/[>=7.66 <9]",
}
# The component of belay that an option defines, and the library that this component links.
COMPONENTS = {
    "with_sqlite3": ("sqlite3", "sqlite3::sqlite3"),
    "with_hiredis": ("hiredis", "hiredis::hiredis"),
    "with_boost": ("boost", "boost::headers"),
    "with_asio": ("asio", "asio::asio"),
    "with_fmt": ("fmt", "fmt::fmt"),
    "with_openssl": ("openssl", "openssl::openssl"),
    "with_nlohmann_json": ("nlohmann_json", "nlohmann_json::nlohmann_json"),
    "with_libcurl": ("curl", "libcurl::libcurl"),
}


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
    options = {name: [True, False] for name in LIBRARIES}
    default_options = {name: False for name in LIBRARIES}
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
        for option, reference in LIBRARIES.items():
            if self.options.get_safe(option):
                self.requires(reference, transitive_headers=True, transitive_libs=True)

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def package(self):
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        copy(self, "*.hpp", src=os.path.join(self.source_folder, "include"),
             dst=os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "belay")
        # All components at once.
        self.cpp_info.set_property("cmake_target_name", "belay::all")
        self.cpp_info.set_property("pkg_config_name", "belay-all")
        headers = define_component(self.cpp_info, "belay", "belay")
        if self.settings.os in ("Linux", "FreeBSD"):
            # Threads are in the C library only since glibc 2.34.
            headers.system_libs = ["pthread"]
        for option, (name, library) in COMPONENTS.items():
            if self.options.get_safe(option):
                define_component(self.cpp_info, name, f"belay-{name}").requires = ["belay", library]
