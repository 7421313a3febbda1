// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/flush_group.hpp
/// FlushGroup: how many threads a flush waits for, and how long, so that one flush serves them all.
#pragma once

#include <chrono>   // std::chrono::milliseconds
#include <cstdint>  // std::uint8_t, std::uint32_t
#include <utility>  // std::exchange

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Threads that a flush has served return shortly after the next flush has begun, so each flush
/// would serve only half of them. Therefore a thread that is about to flush first yields, until as
/// many threads wait as at the end of the last flush.
///
/// A thread yields once before each flush, for half of the time that the last flush took, at most
/// 50 ms. The last yield may exceed that. The limit of 50 ms is there because a flush that a disk
/// has delayed for a minute does not predict the next one.
///
/// If yielding was in vain, some flushes skip it, twice as many each time, because there is no
/// other thread to wait for. If a yield took several times as long as a flush, the maximum number
/// of flushes skip it at once. Other programs use the processors then, and each yield takes
/// milliseconds.
///
/// Thread safety: none; call it under the writer's lock.
class FlushGroup {
public:
    /// Returns how many threads wait for a flush that has not begun.
    [[nodiscard]] std::uint32_t waiting() const noexcept { return waiting_; }
    void join() noexcept { ++waiting_; }

    /// Returns whether a thread that is about to flush should yield, or wait for the thread that
    /// does.
    [[nodiscard]] bool more_are_expected() const noexcept {
        return waiting_ < expected_ && yield_ != YieldState::over;
    }
    /// Returns whether a thread is yielding. It writes afterwards, unless another thread does
    /// first.
    [[nodiscard]] bool is_yielding() const noexcept { return yield_ == YieldState::yielding; }
    /// Returns the maximum time to yield.
    [[nodiscard]] Duration patience() const noexcept { return patience_; }
    /// Records that a thread begins to yield.   Pre: more_are_expected(), !is_yielding().
    void begin_yield() noexcept { yield_ = YieldState::yielding; }
    /// Records that the thread has stopped yielding.
    void end_yield() noexcept { yield_ = YieldState::over; }
    /// Records how long the thread yielded, whichever thread writes now.
    void record_yield(Duration spent) noexcept {
        if (spent < patience_) {
            next_skips_ = 1;
            return;
        }
        const bool is_crowded = spent / 8 > patience_;
        skips_ = next_skips_ = is_crowded ? skips_max : smaller(2 * next_skips_, skips_max);
    }

    /// Records that a thread begins to write.
    void begin_writing() noexcept { yield_ = YieldState::over; }
    /// Begins a flush to the medium for all threads that wait.   Returns: how many.
    [[nodiscard]] std::uint32_t begin_flush() noexcept { return std::exchange(waiting_, 0U); }
    /// Records a flush that succeeded for `served` threads.
    void flushed(std::uint32_t served, Duration taken) noexcept {
        expect(served + waiting_);
        patience_ = smaller<Duration>(taken / 2, patience_max);
        if (skips_ == 0) return;
        --skips_;
        yield_ = YieldState::over;
    }
    /// Expects no threads before the next flush, because the last one failed, and each waiting
    /// thread tries for itself.
    void reset_expected() noexcept { expect(0); }
    /// Records that the data of all waiting threads was flushed in another way.
    void all_served() noexcept { expect(std::exchange(waiting_, 0U)); }

private:
    enum class YieldState : std::uint8_t {
        not_yielded,  // no thread has yielded since the last flush
        yielding,     // a thread is yielding
        over          // the next thread writes
    };
    static constexpr std::uint32_t skips_max = 64;
    static constexpr std::chrono::milliseconds patience_max{50};

    void expect(std::uint32_t count) noexcept {
        expected_ = count;
        yield_ = YieldState::not_yielded;
    }

    YieldState yield_ = YieldState::not_yielded;
    std::uint32_t waiting_ = 0;
    std::uint32_t expected_ = 0;    // threads before the next flush
    std::uint32_t skips_ = 0;       // flushes without a yield
    std::uint32_t next_skips_ = 1;  // half of the number after the next yield in vain
    Duration patience_{};
};

}}}  // namespace belay::detail
