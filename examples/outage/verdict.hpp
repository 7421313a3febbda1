// SPDX-License-Identifier: MIT
/// \file outage/verdict.hpp The verdict: compares the ledger with the file, and uses no report of a
/// process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lines.hpp"

namespace outage {

/// The result of comparing the ledger file with the input.
struct Verdict {
    std::uint64_t lines = 0;
    std::uint64_t lost = 0;          ///< numbers that are not in the ledger with the line's bytes
    std::uint64_t duplicated = 0;    ///< ledger lines whose number had come before
    std::uint64_t out_of_order = 0;  ///< ledger lines with a number below one that had come before
    std::uint64_t foreign = 0;       ///< ledger lines that are none of the input's
    std::vector<std::string> examples;  ///< the first few that are wrong, in words

    [[nodiscard]] bool good() const noexcept {
        return lost == 0 && duplicated == 0 && out_of_order == 0 && foreign == 0;
    }
    /// "120 lines, 0 lost, 0 duplicated, 0 out of order"
    [[nodiscard]] std::string words() const;
};

/// Reads the ledger file by itself: neither counters nor the server's own reading are used.
/// Throws: Rejection if it cannot be read.
[[nodiscard]] Verdict compare(const Lines& lines, const std::string& ledger_path);

}  // namespace outage
