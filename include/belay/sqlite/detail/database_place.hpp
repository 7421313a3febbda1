// SPDX-License-Identifier: MIT
/// \file belay/sqlite/detail/database_place.hpp
/// DatabasePlace: whether a path still leads to the file that a database has open.
#pragma once

#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/journal/detail/file_place.hpp>
#include <belay/posix/files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The path of an open file, from the root on, and the identity of that file.
///
/// A program that changes its directory does not move the file.
///
/// Thread safety: distinct objects safe.
class DatabasePlace {
public:
    /// Stores the file to which the path leads now.   Throws: std::bad_alloc.
    ///
    /// Errors: those of looking. `look` then finds nothing wrong.
    [[nodiscard]] std::error_code remember(const std::string& path) {
        is_known_ = false;
        Result<std::string> absolute = posix::Files{}.absolute(path);
        if (!absolute) return absolute.error();
        path_ = std::move(*absolute);
        const Result<FileIdentity> found = posix::Files{}.identity(path_);
        if (!found) return found.error();
        file_ = *found;
        is_known_ = true;
        return {};
    }
    [[nodiscard]] bool is_known() const noexcept { return is_known_; }
    [[nodiscard]] const FileIdentity& file() const noexcept { return file_; }
    /// Returns no error if the path leads to the file.   Errors: displaced; those of looking.
    [[nodiscard]] std::error_code look() const noexcept {
        posix::Files files;
        return is_known_ ? look_for(files, path_, file_) : std::error_code{};
    }

private:
    std::string path_;
    FileIdentity file_{};
    bool is_known_ = false;
};

}}}  // namespace belay::detail
