// SPDX-License-Identifier: MIT
/// \file belay/queue/flush_every.hpp
/// FlushEvery: a machine that makes a log durable at intervals.
#pragma once

#include <atomic>  // std::atomic

#include <belay/core/instant.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/queue/storage_like.hpp>

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
/// While the driver runs, a power failure loses at most the values of the last interval. Add the
/// time until the driver's next turn, and the duration of the flush. Nothing wakes the driver while
/// there is nothing to flush.
///
/// The log may be a Journal, a Queue over one, or a WorkQueue; for a WorkQueue, ended leases also
/// count as changes.
///
/// Call `appended()` after changes to the log; one call for many changes is enough. The machine
/// detects the first change only through this call. If you do not call it, the change waits for the
/// next call, or until the driver advances the machine for another reason. After the machine is
/// destroyed, only the log itself flushes.
///
/// Models:        MachineLike.
/// Thread safety: home thread; `appended` any thread, once the machine is attached.
/// Blocks:        advance blocks for a flush, on the disk. Give the machine a driver of its own if
///                turns must not wait.
template <class Log>
class FlushEvery {
    // Not a constraint, because the compiler's message for a failed one would hide the sentence.
    static_assert(FlushableLike<Log>,
                  "FlushEvery: the queue must have flush(), as a Journal or a Queue over one; a "
                  "storage in memory is never durable");

public:
    /// Makes a machine for a log, which must outlive it and stay in place.
    /// Pre: 0ns < interval < forever. The machine would never flush with `forever`.
    FlushEvery(Log& log, Duration interval) noexcept : log_{&log}, interval_{interval} {
        BELAY_OPTION(interval.count() > 0 && interval != forever,
                     "FlushEvery::FlushEvery: interval must be > 0ns, and not forever");
    }
    FlushEvery(const FlushEvery&) = delete;
    FlushEvery& operator=(const FlushEvery&) = delete;
    ~FlushEvery() = default;

    /// Reports that something was appended.
    ///
    /// Errors: none.
    /// Complexity: one atomic operation; one wake of the driver per turn of this machine.
    void appended() noexcept {
        // Both sides exchange, so the later one sees what the other thread did before its own
        // exchange.
        if (!noticed_.exchange(true, std::memory_order_acq_rel)) waker_.handle().wake();
    }

    /// Returns the error of the last flush; none if it worked, or if there was no flush.
    ///
    /// A failed flush is tried again after an interval.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }

    // ---- as a machine ---------------------------------------------------------------------------

    void attach(Waker waker) noexcept {
        waker_ = std::move(waker);
        // For values that were appended before.
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
