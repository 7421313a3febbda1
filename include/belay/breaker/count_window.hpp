// SPDX-License-Identifier: MIT
/// \file belay/breaker/count_window.hpp
/// CountWindow: counts the last N calls.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t, std::uint64_t

#include <belay/core/call_counts.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Counts the last `Calls` calls, with one bit each. It is exact, and reads no clock.
///
/// Thread safety: a plain value.   Complexity: O(1) for every function except reset.
template <std::size_t Calls>
class CountWindow {
    static_assert(Calls >= 1 && Calls <= 65536,
                  "CountWindow: the window must hold 1 to 65536 calls");

public:
    /// Counts one more call; the oldest leaves a full window.
    constexpr void add(bool bad) noexcept {
        std::uint64_t& word = bits_[next_ / 64];
        const std::uint64_t bit = std::uint64_t{1} << (next_ % 64);
        if (calls_ < Calls) {
            ++calls_;
        } else if ((word & bit) != 0) {
            --bad_;
        }
        word = bad ? word | bit : word & ~bit;
        bad_ += bad ? 1U : 0U;
        next_ = next_ + 1 == Calls ? 0 : next_ + 1;
    }
    constexpr void reset() noexcept { *this = {}; }

    [[nodiscard]] constexpr CallCounts counts() const noexcept { return {calls_, bad_}; }
    /// Returns how many calls the window can hold.
    [[nodiscard]] constexpr std::uint64_t capacity() const noexcept { return Calls; }

private:
    std::uint64_t bits_[(Calls + 63) / 64]{};
    std::uint32_t next_ = 0;
    std::uint32_t calls_ = 0;
    std::uint32_t bad_ = 0;
};

}}  // namespace belay
