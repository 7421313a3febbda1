// SPDX-License-Identifier: MIT
/// \file belay/call/hedge_percentile.hpp
/// Hedge::Percentile: a percentile of recent latencies, as the delay of a Hedge.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t

#include <belay/call/hedge.hpp>
#include <belay/core/detail/spin_mutex.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A percentile of the latencies of the last calls; Hedge::Percentile.
class HedgePercentile {
public:
    /// The number of latencies that it remembers.
    static constexpr std::size_t calls_max = 128;
    /// The number of latencies from which on it uses them.
    static constexpr std::size_t calls_min = 20;
    /// The shortest delay. Fast calls would otherwise be repeated before they can answer.
    static constexpr Duration least = std::chrono::milliseconds{1};

    /// Makes a percentile whose delay is `at_first` until calls_min latencies are known.
    ///
    /// Pre: 1 <= percent <= 99; at_first > 0ns.
    constexpr HedgePercentile(std::uint32_t percent, Duration at_first) noexcept
        : percent_{percent}, at_first_{at_first}, recent_{Recent{}} {
        BELAY_OPTION(percent >= 1 && percent <= 99,
                     "Hedge::Percentile: percent must be in [1, 99]");
        BELAY_OPTION(at_first.count() > 0, "Hedge::Percentile: at_first must be > 0ns");
    }
    HedgePercentile(const HedgePercentile&) = delete;
    HedgePercentile& operator=(const HedgePercentile&) = delete;

    /// Returns the delay before a further call: the percentile, or `least` if it is shorter.
    [[nodiscard]] constexpr Duration delay() const noexcept {
        return recent_.with([this](const Recent& recent) {
            if (recent.size < calls_min) return at_first_;
            const std::size_t rank = (recent.size * percent_ + 99) / 100;
            const Duration found = recent.sorted[rank - 1];
            return found > least ? found : least;
        });
    }
    /// Records the latency of a call that succeeded. Hedge does it.   Pre: took >= 0ns.
    constexpr void record(Duration took) noexcept {
        recent_.with([took](Recent& recent) { recent.add(took); });
    }
    /// Records a call that failed, or was destroyed, after `took`. It would have taken longer, so
    /// it counts only if it is above the percentile already.
    constexpr void record_more_than(Duration took) noexcept {
        if (took >= delay()) record(took);
    }

    /// Records the first call of a run, which pays for a share of a further call.
    constexpr void note_first_call() noexcept {
        recent_.with([this](Recent& recent) {
            const std::size_t share = 2 * (100 - percent_);
            recent.paid_percent += share;
            if (recent.paid_percent > paid_percent_max) recent.paid_percent = paid_percent_max;
        });
    }
    /// Takes what a further call costs, and returns whether enough was paid.
    [[nodiscard]] constexpr bool take_further_call() noexcept {
        return recent_.with([](Recent& recent) {
            if (recent.paid_percent < 100) return false;
            recent.paid_percent -= 100;
            return true;
        });
    }

private:
    // Ten further calls.
    static constexpr std::size_t paid_percent_max = 1000;

    struct Recent {
        Duration in_order[calls_max]{};
        Duration sorted[calls_max]{};
        std::size_t size = 0;
        std::size_t next = 0;  // the place of the oldest one in in_order, once all are taken
        std::size_t paid_percent = paid_percent_max;  // of a further call

        constexpr void add(Duration took) noexcept {
            if (size == calls_max) remove(in_order[next]);
            in_order[next] = took;
            next = next + 1 == calls_max ? 0 : next + 1;
            std::size_t place = size++;
            for (; place > 0 && sorted[place - 1] > took; --place)
                sorted[place] = sorted[place - 1];
            sorted[place] = took;
        }
        constexpr void remove(Duration took) noexcept {
            std::size_t place = 0;
            while (sorted[place] != took) ++place;
            for (--size; place < size; ++place) sorted[place] = sorted[place + 1];
        }
    };

    const std::size_t percent_;
    const Duration at_first_;
    Guarded<Recent> recent_;
};

/// A delay by the latencies of the last calls.
struct HedgeRecentDelay {
    HedgePercentile* recent;

    [[nodiscard]] constexpr Duration before(std::size_t) const noexcept { return recent->delay(); }
};

}}}  // namespace belay::detail
