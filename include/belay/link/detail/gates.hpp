// SPDX-License-Identifier: MIT
/// \file belay/link/detail/gates.hpp
/// Gates: which gates of a supervisor are shut, and which of them are still in their grace.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A set of gates. One that is shut with a grace has no effect before that is over, and none at all
/// if it is opened before.
///
/// Four graces run at a time. If there are more, some gates have their effect later than requested.
///
/// Thread safety: distinct objects safe.   Complexity: O(1) each.
class Gates {
public:
    /// All that are shut, those in their grace included.
    [[nodiscard]] constexpr std::uint32_t all() const noexcept {
        std::uint32_t gates = shut_;
        for (const std::uint32_t g : graces_) gates |= g;
        return gates;
    }
    /// Whether one is shut that has no grace, or one that has been found to be over.
    [[nodiscard]] constexpr bool any_shut() const noexcept { return shut_ != 0; }
    /// Whether one is shut whose grace is over.
    [[nodiscard]] constexpr bool any_shut(Instant now) const noexcept {
        return shut_ != 0 || deadline() <= now;
    }
    /// When the first grace ends; `never` if none runs.
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        Instant first = never;
        for (const Instant ends : ends_) first = smaller(first, ends);
        return first;
    }
    /// When the grace of a gate ends; `always` if it has none, or is open.
    [[nodiscard]] constexpr Instant grace_ends(std::uint32_t gate) const noexcept {
        for (std::size_t i = 0; i < graces_max; ++i) {
            if ((graces_[i] & gate) != 0) return ends_[i];
        }
        return always;
    }

    /// Makes these the shut ones; those that were not shut before have a grace. A gate that is
    /// opened does not ask how late that is: what came in time counts although the driver was late.
    constexpr void set(std::uint32_t gates, Duration grace, Instant now) noexcept {
        const std::uint32_t fresh = gates & ~all();
        shut_ &= gates;
        for (std::size_t i = 0; i < graces_max; ++i) {
            graces_[i] &= gates;
            if (graces_[i] == 0) ends_[i] = never;
        }
        if (fresh == 0) return;
        if (grace <= Duration::zero()) {
            shut_ |= fresh;
            return;
        }
        const Instant ends = after(now, grace);
        const std::size_t i = place_for(ends, now);
        ends_[i] = graces_[i] == 0 ? ends : larger(ends_[i], ends);
        graces_[i] |= fresh;
    }

private:
    static constexpr std::size_t graces_max = 4;

    /// A free place; else one whose grace is over, or else that of the grace that ends last.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): as everywhere, now comes last
    [[nodiscard]] constexpr std::size_t place_for(Instant ends, Instant now) noexcept {
        std::size_t place = 0;
        for (std::size_t i = 0; i < graces_max; ++i) {
            if (graces_[i] == 0 || ends_[i] == ends) return i;
            if (ends_[i] <= now) place = i;
            if (now < ends_[place] && ends_[place] < ends_[i]) place = i;
        }
        if (ends_[place] <= now) {
            shut_ |= graces_[place];
            graces_[place] = 0;
        }
        return place;
    }

    std::uint32_t shut_ = 0;              // without a grace, or when it is over
    std::uint32_t graces_[graces_max]{};  // the gates of each
    // When each is over; never: it is free.
    Instant ends_[graces_max]{never, never, never, never};
};

}}}  // namespace belay::detail
