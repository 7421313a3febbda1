// SPDX-License-Identifier: MIT
/// \file tests/support/displacer.hpp
/// Displacer: moves a file or a directory away from its path, and back.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>

namespace belay_test {

/// The content of the path while the file is away: nothing, or a copy, as when a backup is
/// restored.
enum class Meanwhile { nothing, copy };

/// The `displace` of the checks of storages.
class Displacer {
public:
    /// `path()` is called each time.
    Displacer(std::function<std::string()> path, Meanwhile meanwhile)
        : path_{std::move(path)}, meanwhile_{meanwhile} {}

    void operator()(bool away) const {
        namespace fs = std::filesystem;
        const std::string path = path_();
        if (!away) {
            fs::remove_all(path);
            return fs::rename(path + ".away", path);
        }
        fs::rename(path, path + ".away");
        if (meanwhile_ == Meanwhile::copy) {
            fs::copy(path + ".away", path, fs::copy_options::recursive);
        }
    }

private:
    std::function<std::string()> path_;
    Meanwhile meanwhile_;
};

}  // namespace belay_test
