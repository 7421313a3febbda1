// SPDX-License-Identifier: MIT
/// \file belay/core/mailbox.hpp
/// Mailbox: the one queue for events from other threads and from a machine's own callbacks.
#pragma once

#include <atomic>   // std::atomic
#include <cstddef>  // std::ptrdiff_t
#include <cstdint>  // std::uint8_t, std::uint32_t
#include <utility>  // std::move

#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/machine_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace driver {

/// A bounded queue of events for one machine.
///
/// Posting only queues: it never runs user code, and never destroys anything except the posted
/// event. From the home thread it takes no lock. From another thread it takes a short lock and
/// wakes the driver. If one post happens before another, they are handled in this order.
///
/// The mailbox outlives its machine, because links and handles own references to it.
///
/// An event has two functions:
/// - `is_message()`: returns whether the event is bounded, so that it may be rejected.
/// - `same_control(other)`: returns whether the event is not a message, and queueing it in addition
///   to `other` would give no new information.
///
/// Thread safety: post, `wake` and `locked` from any thread; everything else on the home thread,
///                which is the thread of the first `begin_turn()`.
template <class E>
class Mailbox : public detail::Counted {
public:
    /// Makes a mailbox for at most `messages_max` waiting messages, from all threads together.
    explicit Mailbox(std::size_t messages_max) noexcept : messages_max_{messages_max} {}

    /// Queues an event that must not be lost (opened, closed, commands).
    ///
    /// Post: the result is taken or gone.   Throws: std::bad_alloc.
    Post post_control(E&& event) {
        return post(
            false, [&]() -> E { return std::move(event); },
            [&](detail::EventRing<E>& ring) noexcept { return merges(ring, event); });
    }

    /// Queues a message if there is capacity. `event` is untouched unless it was taken.
    ///
    /// Post: exactly one report of capacity (take_rejection) follows the result `full`.
    /// Throws: std::bad_alloc.
    Post post_message(E&& event) {
        return emplace_message([&]() -> E { return std::move(event); });
    }
    /// Queues the message that `make()` returns, in the same way.
    ///
    /// `make` is called only if the message is taken, maybe under the lock. It may move the
    /// message, and must do nothing else.
    template <class F>
    Post emplace_message(F&& make) {
        return post(true, make, [](detail::EventRing<E>&) noexcept { return false; });
    }

    /// Asks for a turn, in which the machine's deadline is read again.   Throws: nothing.
    void wake() const noexcept {
        if (is_home()) return waker_.touch();
        WakeHandle wake;
        {
            const detail::SpinLock lock{mutex_};
            wake = waker_.handle();
        }
        wake.wake();
    }

    // ---- for the machine, on its home thread ---------------------------------------------------

    /// Connects it with the driver of its owner.
    void attach(Waker waker) noexcept {
        const detail::SpinLock lock{mutex_};
        waker_ = std::move(waker);
    }
    /// Returns the waker of its owner.
    [[nodiscard]] const Waker& waker() const noexcept { return waker_; }
    /// Returns whether it was ever attached to a driver, or a turn was begun by hand. After close()
    /// only a turn counts.
    [[nodiscard]] bool was_driven() const noexcept {
        return waker_.handle().node() != nullptr ||
               home_.load(std::memory_order_relaxed) != nullptr;
    }

    /// Starts a turn and collects what other threads posted. The first call fixes the home thread.
    void begin_turn() {
        if (home_.load(std::memory_order_relaxed) == nullptr) {
            home_.store(detail::this_thread(), std::memory_order_relaxed);
        }
        BELAY_PRECONDITION(is_home(),
                           "Machine::advance: only the thread of its first call may call it");
        splice();
    }

    /// Returns whether this is the thread of its owner.
    [[nodiscard]] bool is_home() const noexcept {
        return home_.load(std::memory_order_relaxed) == detail::this_thread();
    }

    /// Returns whether no event waits, including events from other threads.
    [[nodiscard]] bool empty() const noexcept {
        return local_.empty() && spliced_.empty() &&
               foreign_count_.load(std::memory_order_acquire) == 0;
    }
    /// Returns how many events the turn still has.
    [[nodiscard]] std::size_t size() const noexcept { return local_.size(); }
    /// Returns how many messages may wait.
    [[nodiscard]] std::size_t messages_max() const noexcept { return messages_max_; }
    /// Returns the event at this place of the turn.
    [[nodiscard]] E& peek(std::size_t i) noexcept { return local_[i]; }

    /// Takes the next event that was collected.   Pre: size() > 0.
    [[nodiscard]] E pop() noexcept {
        if (local_[0].is_message()) count_local(-1);
        return local_.pop();
    }

    /// Returns whether a message was rejected since the last call, and there is capacity now.
    [[nodiscard]] bool take_rejection() noexcept {
        if (!rejected_.load(std::memory_order_relaxed)) return false;
        if (local_messages() >= messages_max_) return false;
        return rejected_.exchange(false, std::memory_order_acq_rel);
    }
    /// Returns whether take_rejection() would report one.
    [[nodiscard]] bool rejected() const noexcept {
        return rejected_.load(std::memory_order_relaxed) && local_messages() < messages_max_;
    }

    /// Counts a message that the owner has rejected as one that the mailbox has.
    void note_rejection() noexcept { rejected_.store(true, std::memory_order_relaxed); }
    /// Forgets a rejection that no longer matters, because its connection is gone.
    void forget_rejection() noexcept { rejected_.store(false, std::memory_order_relaxed); }

    /// Destroys the queued events, except those that `keep` picks.
    ///
    /// Call it on the home thread, or before there is one.
    template <class F>
    void discard_unless(F&& keep) {
        splice();
        for (std::size_t left = local_.size(); left != 0; --left) {
            E event = pop();
            if (!keep(event)) continue;
            if (event.is_message()) count_local(+1);
            local_.push(std::move(event));
        }
    }

    /// Destroys the queued events, and returns `gone` from now on; for the end of the machine.
    void close() noexcept {
        Waker waker;
        detail::EventRing<E> foreign;
        {
            const detail::SpinLock lock{mutex_};
            closed_ = true;
            waker = std::move(waker_);
            foreign.swap(foreign_);
            foreign_count_.store(0, std::memory_order_release);
        }
        local_.clear();
        spliced_.clear();
    }

    /// Runs `f` under the mailbox's lock; for the machine's published status.
    template <class F>
    auto locked(F&& f) const {
        const detail::SpinLock held = lock();
        return f();
    }
    /// Takes the mailbox's lock, for the same.
    [[nodiscard]] detail::SpinLock lock() const noexcept { return detail::SpinLock{mutex_}; }

private:
    /// `repeats(ring)` returns whether the event would give no new information.
    template <class F, class R>
    Post post(bool message, F&& make, R&& repeats) {
        if (!is_home()) return post_foreign(message, make, repeats);
        splice();
        return post_home(message, make, repeats);
    }

    template <class F, class R>
    Post post_home(bool message, F&& make, R&& repeats) {
        if (closed_) return Post::gone;
        if (message && local_messages() >= messages_max_) {
            rejected_.store(true, std::memory_order_relaxed);
            return Post::full;
        }
        if (repeats(local_)) return Post::taken;
        const bool first = local_.empty();
        local_.emplace(make);
        if (message) count_local(+1);
        if (first) waker_.touch();
        return Post::taken;
    }

    template <class F, class R>
    Post post_foreign(bool message, F&& make, R&& repeats) {
        WakeHandle wake;
        bool full = false;
        {
            const detail::SpinLock lock{mutex_};
            if (closed_) return Post::gone;
            // Messages that were collected but not handled yet count, too. Otherwise the bound
            // would hold for one turn only.
            full = message && local_messages() + foreign_messages_ >= messages_max_;
            if (repeats(foreign_)) return Post::taken;
            if (full) {
                // The turn that made space may be over already, so another turn must report it.
                if (!rejected_.exchange(true, std::memory_order_acq_rel)) wake = waker_.handle();
            } else {
                foreign_.emplace(make);
                if (message) ++foreign_messages_;
                const std::size_t count = foreign_.size();
                foreign_count_.store(static_cast<std::uint32_t>(count), std::memory_order_release);
                if (count == 1) wake = waker_.handle();
            }
        }
        wake.wake();
        return full ? Post::full : Post::taken;
    }

    [[nodiscard]] std::size_t local_messages() const noexcept {
        return local_messages_.load(std::memory_order_relaxed);
    }
    /// This is not an atomic addition, because there is one writer.
    void count_local(std::ptrdiff_t change) noexcept {
        const std::size_t count = local_messages() + static_cast<std::size_t>(change);
        local_messages_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
    }

    /// Prevents a source that repeats itself for ever from filling the memory.
    static bool merges(detail::EventRing<E>& ring, const E& event) noexcept {
        if (ring.size() < crowded) return false;
        for (std::size_t i = 0; i < ring.size(); ++i) {
            if (ring[i].same_control(event)) return true;
        }
        return false;
    }

    /// Throws: std::bad_alloc; the next call moves what this one did not move.
    void splice() {
        if (!spliced_.empty()) move_spliced();
        if (foreign_count_.load(std::memory_order_acquire) == 0) return;
        {
            const detail::SpinLock lock{mutex_};
            spliced_.swap(foreign_);
            count_local(static_cast<std::ptrdiff_t>(foreign_messages_));
            foreign_messages_ = 0;
            foreign_count_.store(0, std::memory_order_release);
        }
        move_spliced();
    }
    void move_spliced() {
        // Space is made before an event leaves its place.
        while (!spliced_.empty()) local_.emplace([this]() -> E { return spliced_.pop(); });
    }

    static constexpr std::size_t crowded = 64;

    // The order leaves no gaps, because most mailboxes are idle, and there may be a hundred
    // thousand. The members that one thread writes for each event are a cache line away from those
    // of the other thread.
    //
    // Written on the home thread only; other threads read it for the bound.
    std::atomic<std::uint32_t> local_messages_{0};
    // Home thread only.
    detail::EventRing<E> local_;
    detail::EventRing<E> spliced_;
    // Under mutex_. Only the home thread writes it, so the home thread may read it without the
    // lock.
    Waker waker_;
    std::atomic<const void*> home_{nullptr};
    const std::size_t messages_max_;
    // Under mutex_. closed_ changes on the home thread only, as waker_ does.
    detail::EventRing<E> foreign_;
    std::uint32_t foreign_messages_ = 0;
    std::atomic<std::uint32_t> foreign_count_{0};
    bool closed_ = false;
    std::atomic<bool> rejected_{false};
    mutable detail::SpinMutex mutex_;
};

}}}  // namespace belay::driver
