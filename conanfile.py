# SPDX-License-Identifier: MIT
# conan create . -s compiler.cppstd=20
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy
from conan.tools.layout import basic_layout


class BelayConan(ConanFile):
    name = "belay"
    version = "0.1.0"
    description = "Keeps programs working while their connections fall: retries, queues, sessions, simulation"
    license = "MIT"
    homepage = url
    topics = ("retry", "backoff", "circuit-breaker", "offline-first", "reconnect", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    exports_sources = "LICENSE", "include/*"
    no_copy_source = True
    test_package_folder = "packaging/conan/test_package"

    def layout(self):
        basic_layout(self)

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()

    def package(self):
        source = Path(self.source_folder)
        package = Path(self.package_folder)
        copy(self, "LICENSE", src=source, dst=package / "licenses")
        copy(self, "*.hpp", src=source / "include", dst=package / "include")

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "belay")
        self.cpp_info.set_property("cmake_target_name", "belay::belay")
        self.cpp_info.set_property("pkg_config_name", "belay")
