// SPDX-License-Identifier: MIT
/// \file belay/queue/flush_every.hpp
/// FlushEvery: a machine that makes a log durable at intervals.
#pragma once

#include <atomic>  // std::atomic

#include <belay/core/instant.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/queue/flushable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Flushes a log once per interval, as long as there is something to flush.
///
///     auto journal = posix::Journal::open("metrics", {.flush = Flush::none});
///     FlushEvery flusher{*journal, 100ms};
///     loop.attach(flusher);
///     ...
///     journal->append(sample);                     // waits for no disk
///     flusher.appended();
///
/// While the driver runs, a loss of power takes at most what was appended in the last interval, and
/// in the time that the driver needs to come around and the flush to end. Nothing wakes the driver
/// while there is nothing to flush.
///
/// The log may be a Journal, a Queue over one, or a WorkQueue: then ends count as well.
///
/// Call `appended()` after what changes the log, once for many changes will do: it is how the
/// machine learns of the first one. Forgotten, the change waits for the next call of it, or until
/// the driver advances the machine for another reason. When the machine is gone, nothing is flushed
/// any more but by the log itself.
///
/// Models:        MachineLike.
/// Thread safety: home thread; `appended` any thread, once the machine is attached.
/// Blocks:        advance, for a flush: on the disk. Give the machine a driver of its own where
///                turns must not wait.
template <class Log>
class FlushEvery {
    // Not a constraint: the compilers' words for a failed one would hide the sentence.
    static_assert(FlushableLike<Log>,
                  "FlushEvery: there must be something to flush: a Journal, or a Queue over one; a "
                  "storage in memory is never durable");

public:
    /// The log must outlive the machine, and stay where it is.   Pre: interval > 0ns.
    FlushEvery(Log& log, Duration interval) noexcept : log_{&log}, interval_{interval} {
        BELAY_PRECONDITION(interval.count() > 0, "FlushEvery::FlushEvery: interval must be > 0ns");
    }
    FlushEvery(const FlushEvery&) = delete;
    FlushEvery& operator=(const FlushEvery&) = delete;
    ~FlushEvery() = default;

    /// Something was appended.   Errors: none.   Complexity: one atomic operation; a wake of the
    /// driver, once per turn of this machine.
    void appended() noexcept {
        // Both exchanges: whichever comes later sees what the other thread did before its own.
        if (!noticed_.exchange(true, std::memory_order_acq_rel)) waker_.handle().wake();
    }

    /// The error of the last flush; none if it worked, or there was none. It is tried again after
    /// an interval.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }

    // ---- as a machine ---------------------------------------------------------------------------

    void attach(Waker waker) noexcept {
        waker_ = std::move(waker);
        // What was appended before.
        appended();
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (due_ != never) return due_;
        return noticed_.load(std::memory_order_acquire) ? always : never;
    }
    void advance(Instant now) noexcept {
        static_cast<void>(noticed_.exchange(false, std::memory_order_acq_rel));
        if (now >= due_) {
            due_ = never;
            error_ = log_->flush();
        }
        if (due_ == never && log_->unflushed()) due_ = after(now, interval_);
    }

private:
    Log* log_;
    Duration interval_;
    Waker waker_;
    Instant due_ = never;  // of the next flush
    std::error_code error_;
    std::atomic<bool> noticed_{false};  // appended, and no turn since
};

}}  // namespace belay
