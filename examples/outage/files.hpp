// SPDX-License-Identifier: MIT
/// \file outage/files.hpp
/// Whole files: read at once, written so that a crash leaves the old one or the new one.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include <belay/journal/id.hpp>
#include <belay/posix/files.hpp>

namespace outage {

/// The machine's files; has no state.
inline constexpr belay::posix::Files files{};

/// A file's bytes.   Throws: Rejection, with the path and the system's words.
[[nodiscard]] std::string read_file(const std::string& path);

/// Whether there is something at `path`.
[[nodiscard]] bool exists(const std::string& path);

/// Makes a directory, and those above it.   Throws: Rejection.
void make_directories(const std::string& path);

/// Replaces a file in one step; durable when it returns.
[[nodiscard]] std::error_code replace_file(const std::string& path, std::string_view text);

/// "cannot open X: Permission denied; …": the system's words and what to do about them.
[[nodiscard]] std::string trouble(std::string_view what, const std::string& path,
                                  const std::error_code& error);

/// The directory that a path lies in.
[[nodiscard]] std::string directory_of(const std::string& path);

[[nodiscard]] std::string to_hex(const belay::Id& id);
/// Reads what to_hex writes.   Returns: false for anything else.
[[nodiscard]] bool from_hex(std::string_view text, belay::Id& id);

}  // namespace outage
