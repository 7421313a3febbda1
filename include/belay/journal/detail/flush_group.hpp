// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/flush_group.hpp
/// FlushGroup: for how many, and how long, a flush waits, so that one serves all who come together.
#pragma once

#include <chrono>   // std::chrono::milliseconds
#include <cstdint>  // std::uint8_t, std::uint32_t
#include <utility>  // std::exchange

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Threads that a flush has served come again a moment after the next one has begun, and so each
/// would find only half of them. Who is about to flush gives way for a moment instead, until as
/// many wait as were here at the end of the last flush: once before each, for half of the time that
/// the last one took, 50 ms at most, and what the yield takes that comes last: a flush that a disk
/// has held up for a minute says nothing about the next one.
///
/// Where that was not enough, some flushes go without, twice as many each time: there is nobody to
/// wait for then. Many do at once where it took several times as long as a flush: other programs
/// have the processors then, and each yield takes milliseconds.
///
/// Thread safety: none; under the writer's lock.
class FlushGroup {
public:
    /// Threads that wait for a flush which has not begun.
    [[nodiscard]] std::uint32_t waiting() const noexcept { return waiting_; }
    void join() noexcept { ++waiting_; }

    /// Whether whoever would flush now should give way, or wait for the one who does.
    [[nodiscard]] bool more_are_expected() const noexcept {
        return waiting_ < expected_ && way_ != Way::over;
    }
    /// Whether a thread gives way, after which it writes, unless another one does before.
    [[nodiscard]] bool gives_way() const noexcept { return way_ == Way::given; }
    /// For how long it may.
    [[nodiscard]] Duration patience() const noexcept { return patience_; }
    /// Pre: more_are_expected(), !gives_way().
    void begin_to_give_way() noexcept { way_ = Way::given; }
    /// It gives way no more.
    void give_way_no_more() noexcept { way_ = Way::over; }
    /// It has given way for so long, whoever writes now.
    void gave_way(Duration spent) noexcept {
        if (spent < patience_) {
            next_skips_ = 1;
            return;
        }
        const bool is_crowded = spent / 8 > patience_;
        skips_ = next_skips_ = is_crowded ? skips_max : smaller(2 * next_skips_, skips_max);
    }

    /// A thread begins to write, whatever.
    void begin_writing() noexcept { way_ = Way::over; }
    /// A flush to the medium begins, for all who wait.   Returns: how many.
    [[nodiscard]] std::uint32_t begin_flush() noexcept { return std::exchange(waiting_, 0U); }
    /// It has ended well, for `served`.
    void flushed(std::uint32_t served, Duration taken) noexcept {
        expect(served + waiting_);
        patience_ = smaller<Duration>(taken / 2, patience_max);
        if (skips_ == 0) return;
        --skips_;
        way_ = Way::over;
    }
    /// It has failed, and those who wait try for themselves.
    void flush_failed() noexcept { expect(0); }
    /// What they wait for was flushed, in another way.
    void all_served() noexcept { expect(std::exchange(waiting_, 0U)); }

private:
    enum class Way : std::uint8_t {
        not_given,  // since the last flush
        given,      // by a thread, now
        over        // who comes next writes
    };
    static constexpr std::uint32_t skips_max = 64;
    static constexpr std::chrono::milliseconds patience_max{50};

    void expect(std::uint32_t count) noexcept {
        expected_ = count;
        way_ = Way::not_given;
    }

    Way way_ = Way::not_given;
    std::uint32_t waiting_ = 0;
    std::uint32_t expected_ = 0;    // of them before the next flush
    std::uint32_t skips_ = 0;       // flushes that go without
    std::uint32_t next_skips_ = 1;  // half of them, after the next time that it was in vain
    Duration patience_{};
};

}}}  // namespace belay::detail
