// SPDX-License-Identifier: MIT
/// \file outage/lines.hpp
/// Lines: the operations of the demo, which are the lines of a text file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace outage {

/// The longest line that is delivered.
inline constexpr std::size_t line_bytes_max = 64 * 1024;

/// A file and its lines, without their newlines. Line n is operation n.
///
/// Lines are bytes: NUL and CR are part of them, and the last one needs no newline. Not copied,
/// since the views refer to the text.
class Lines {
public:
    /// Reads a file.   Throws: Rejection if it cannot be read, or has a line over line_bytes_max.
    explicit Lines(const std::string& path);
    Lines(const Lines&) = delete;
    Lines& operator=(const Lines&) = delete;

    [[nodiscard]] std::uint64_t count() const noexcept { return lines_.size(); }
    /// Pre: 1 <= number <= count().
    [[nodiscard]] std::string_view at(std::uint64_t number) const { return lines_[number - 1]; }
    /// Distinguishes files.
    [[nodiscard]] std::uint32_t checksum() const noexcept;

private:
    std::string text_;
    std::vector<std::string_view> lines_;
};

/// Some thousand real lines: the headers below `headers`, in sorted order.   Throws: Rejection.
[[nodiscard]] std::string default_input(const std::string& headers);

}  // namespace outage
