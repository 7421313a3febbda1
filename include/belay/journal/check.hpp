// SPDX-License-Identifier: MIT
/// \file belay/journal/check.hpp
/// first_check, next_check: one number that stands for a whole sequence of operations.
///
/// If two sides have the same check at the same number, they have the same operations with the same
/// numbers. The check finds accidents (a restored copy, a lost tail), not attacks.
#pragma once

#include <cstdint>  // std::uint32_t, std::uint64_t

#include <belay/core/bytes.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/random.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI { namespace journal_format {

/// Returns the check before the first operation, which depends only on the journal.
/// Complexity: O(1).
[[nodiscard]] constexpr std::uint64_t first_check(const Id& journal) noexcept {
    return load_le<std::uint64_t>(journal.data());
}

// NOLINTBEGIN(bugprone-easily-swappable-parameters): in the order of hashing
/// Returns the check after an operation whose checksum and length are known.
///
/// `salt` is that of the run that accepted the operation. It distinguishes equal payloads of two
/// runs.
/// Errors: none.   Complexity: O(1).
/// Source: the session protocol, section 2.
[[nodiscard]] constexpr std::uint64_t next_check(std::uint64_t previous, std::uint32_t crc,
                                                 std::uint32_t length,
                                                 std::uint32_t salt) noexcept {
    const std::uint64_t body = (std::uint64_t{crc} << 32) | length;
    const std::uint64_t step = 0x9E3779B97F4A7C15U * (std::uint64_t{salt} + 1);
    return detail::mix64((previous ^ body) + step);
}
// NOLINTEND(bugprone-easily-swappable-parameters)

/// Returns the check after an operation with this body.   Complexity: O(length of the body).
///
/// Pre: the body is shorter than 4 GiB.
[[nodiscard]] inline std::uint64_t next_check(std::uint64_t previous, BytesView body,
                                              std::uint32_t salt) noexcept {
    BELAY_PRECONDITION(body.size() <= 0xFFFFFFFFU,
                       "next_check: the body must be smaller than 4 GiB");
    return next_check(previous, part::crc32c(body), static_cast<std::uint32_t>(body.size()), salt);
}

}}}  // namespace belay::journal_format
