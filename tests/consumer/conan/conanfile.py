# SPDX-License-Identifier: MIT
# Stands for the package of a library that this machine has: nothing is downloaded. Its name is that of the package:
#     conan export tests/consumer/conan --name sqlite3 --version 3.40.0
from conan import ConanFile

LIBRARIES = {"sqlite3": ["sqlite3"], "hiredis": ["hiredis"], "openssl": ["ssl", "crypto"],
             "libcurl": ["curl"], "fmt": ["fmt"], "libpq": ["pq"]}


class LibraryOfThisMachine(ConanFile):
    package_type = "header-library"

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.includedirs = []
        if self.name == "boost":
            self.cpp_info.components["headers"].includedirs = []
        elif self.name == "libpq":
            self.cpp_info.components["pq"].includedirs = ["/usr/include/postgresql"]
            self.cpp_info.components["pq"].system_libs = LIBRARIES[self.name]
        else:
            self.cpp_info.system_libs = LIBRARIES.get(self.name, [])
