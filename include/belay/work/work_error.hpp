// SPDX-License-Identifier: MIT
/// \file belay/work/work_error.hpp
/// WorkError: the reason why a log could not be opened as a WorkQueue, and the entry.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <string>        // std::string, std::to_string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The reason why opening failed, and the entry. Nothing was changed in the log.
///
/// Thread safety: a plain value.
struct WorkError {
    /// The error.
    std::error_code code;
    /// The number of the log's entry that the error is about; 0 if it is not about one.
    std::uint64_t number = 0;
    /// A description of this case; a literal.
    std::string_view what{};
    /// WorkOptions::record_bytes_max, and the log's maximum, which is less; 0 for any other error.
    std::size_t record_bytes_wanted = 0;
    std::size_t record_bytes_taken = 0;

    /// Returns the error as a sentence: "entry 17: the stored data is damaged (a kind of entry that
    /// ...)".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string text;
        if (number != 0) text += "entry " + std::to_string(number) + ": ";
        text += code.message();
        if (record_bytes_wanted != 0) {
            return text + " (WorkOptions::record_bytes_max is " +
                   std::to_string(record_bytes_wanted) + ", but the log accepts only " +
                   std::to_string(record_bytes_taken) +
                   ": open the log with at least as much, or lower the value of the queue)";
        }
        if (!what.empty()) text += " (" + std::string{what} + ")";
        if (code == QueueErrc::bad_options) text += ": see WorkOptions for the allowed values";
        return text;
    }

    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

}}  // namespace belay
