// SPDX-License-Identifier: MIT
/// \file tests/support/beside_program.hpp
/// beside_program: files of the source tree and programs of the build, which a test needs.
#pragma once

#include <unistd.h>

#include <array>
#include <string>

namespace belay_test {

/// Returns a path that is relative to the folder of this program as one that holds in any working
/// directory. If no such file is there, it returns `path`.
///
/// CMake defines such paths as relative: by an absolute one, each clone would compile again what
/// ccache has from another.
inline std::string beside_program(const std::string& path) {
    std::array<char, 4096> program{};
    const ssize_t size = ::readlink("/proc/self/exe", program.data(), program.size());
    if (size <= 0) return path;
    const std::string file{program.data(), static_cast<std::size_t>(size)};
    std::string found = file.substr(0, file.rfind('/') + 1) + path;
    return ::access(found.c_str(), F_OK) == 0 ? found : path;
}

}  // namespace belay_test
