// SPDX-License-Identifier: MIT
/// \file belay/room/detail/output_pace.hpp
/// OutputPace: decides whether a connection accepts its output too slowly.
#pragma once

#include <chrono>   // std::chrono::milliseconds, std::chrono::seconds
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// How fast a connection accepts the output that waits for it.
///
/// Only the time counts in which something waits: without output, no connection is slow. It is too
/// slow if it accepts nothing for RoomOptions::heartbeat.dead_after. A window of the time in which
/// something waits ends after dead_after, too. The connection is too slow if it accepted less than
/// RoomOptions::client_rate_min in it. A window whose end is noticed a second late is not judged.
/// After a second without output a new window begins.
///
/// Usable in constant expressions.   Thread safety: a plain value.
class OutputPace {
public:
    /// Something waits from now on, unless it does so already.
    constexpr void begin(Instant now, Duration window) noexcept {
        if (after(now, window) < stall_ends_) stall_ends_ = after(now, window);
        if (since_ != never) return;
        if (elapsed(idle_since_, now) >= std::chrono::seconds{1}) clear();
        since_ = now;
        ends_ = after(now, larger(Duration{}, window - waited_));
    }
    /// Output was sent, as far as the connection accepts it. Ends the wait if it accepted all.
    constexpr void pause(Instant now) noexcept {
        if (since_ == never || stall_ends_ != never) return;
        waited_ += elapsed(since_, now);
        since_ = never;
        // A window that ended before, as in a late turn, is still judged.
        if (ends_ > now) ends_ = never;
        idle_since_ = now;
    }
    /// The connection is writable again, or has accepted bytes.
    constexpr void accept(std::size_t bytes = 0) noexcept {
        stall_ends_ = never;
        if (since_ != never) accepted_ += bytes;
    }
    /// Whether the connection was too slow. If a window has ended, begins the next one, now or when
    /// something waits.
    [[nodiscard]] constexpr bool check_too_slow(Instant now, std::size_t bytes_per_second,
                                                Duration window) noexcept {
        if (stall_ends_ <= now) return true;
        if (ends_ > now) return false;
        // After a pause of this server, what the connection could accept meanwhile is not known.
        const bool paused = elapsed(ends_, now) >= std::chrono::seconds{1};
        const bool slow = !paused && accepted_ < least(bytes_per_second, window);
        clear();
        const bool waits = since_ != never;
        if (waits) since_ = now;
        ends_ = waits ? after(now, window) : never;
        return slow;
    }
    /// Returns when check_too_slow() must be called.
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        return stall_ends_ < ends_ ? stall_ends_ : ends_;
    }
    /// Ends the wait: the connection is closing.
    constexpr void stop() noexcept { since_ = ends_ = stall_ends_ = never; }

private:
    constexpr void clear() noexcept {
        waited_ = Duration{};
        accepted_ = 0;
    }
    [[nodiscard]] static constexpr std::uint64_t least(std::uint64_t bytes_per_second,
                                                       Duration window) noexcept {
        const auto ms = static_cast<std::uint64_t>(window / std::chrono::milliseconds{1});
        const std::uint64_t most = ~std::uint64_t{0};
        return ms != 0 && bytes_per_second > most / ms ? most : bytes_per_second * ms / 1000;
    }

    Instant since_ = never;        ///< since when something waits
    Instant ends_ = never;         ///< the end of the window
    Instant stall_ends_ = never;   ///< some output must be accepted by then
    Instant idle_since_ = always;  ///< since when nothing waits
    Duration waited_{};            ///< the time of this window before `since_`
    std::uint64_t accepted_ = 0;   ///< in this window
};

}}}  // namespace belay::detail
