// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/file_place.hpp
/// look_for: whether a path still leads to the file that is open. remove_if_there: removes a file.
#pragma once

#include <string>        // std::string
#include <system_error>  // std::error_code

#include <belay/journal/file_system_like.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Converts the error of a missing file: for a journal it means that its files were moved.
[[nodiscard]] inline std::error_code displaced_if_gone(const std::error_code& error) noexcept {
    const bool gone =
        error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
    return gone ? make_error_code(QueueErrc::displaced) : error;
}

/// Returns no error if a path leads to a file. If it does not, the next opening would not find what
/// is written to that file.
///
/// Errors: displaced; those of looking.
template <class FileSystem>
[[nodiscard]] std::error_code look_for(FileSystem& fs, const std::string& path,
                                       const FileIdentity& file) noexcept {
    const Result<FileIdentity> there = fs.identity(path);
    if (!there) return displaced_if_gone(there.error());
    return *there == file ? std::error_code{} : make_error_code(QueueErrc::displaced);
}

/// Removes a file. A missing one is no error: a network file system may have repeated the call
/// after it took effect.
template <class FileSystem>
[[nodiscard]] std::error_code remove_if_there(FileSystem& fs, const std::string& path) noexcept {
    const std::error_code error = fs.remove(path);
    return error == std::errc::no_such_file_or_directory ? std::error_code{} : error;
}

}}}  // namespace belay::detail
