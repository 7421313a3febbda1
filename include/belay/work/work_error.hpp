// SPDX-License-Identifier: MIT
/// \file belay/work/work_error.hpp
/// WorkError: why a log could not be opened as a WorkQueue, and where.
#pragma once

#include <cstdint>       // std::uint64_t
#include <string>        // std::string, std::to_string
#include <system_error>  // std::error_code

#include <belay/queue/queue_errc.hpp>

namespace belay::inline BELAY_ABI {

/// What stood in the way of opening, and at which entry. Nothing was changed in the log.
///
/// Thread safety: a plain value.
struct WorkError {
    std::error_code code;
    /// The number of the log's entry that is meant; 0 if it is not about one.
    std::uint64_t number = 0;
    /// What is wrong, in the words of this case; a literal.
    const char* what = "";

    /// "entry 17: the journal is damaged (a kind of entry that ...)".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string text;
        if (number != 0) text += "entry " + std::to_string(number) + ": ";
        text += code.message();
        if (*what != '\0') text += std::string{" ("} + what + ")";
        return text;
    }

    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

}  // namespace belay::inline BELAY_ABI
