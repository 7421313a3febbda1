// SPDX-License-Identifier: MIT
/// \file belay/core/stop_source.hpp
/// StopSource, StopToken and StopTokenLike: how to stop something that waits.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::same_as
#include <type_traits>  // std::remove_reference_t

#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/spin_mutex.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A token that reports whether a stop was requested.
///
/// It has `stop_requested() const noexcept -> bool`; std::stop_token is one. Semantics the compiler
/// cannot check: once true, always true; any thread may call it.
template <class T>
concept StopTokenLike = requires(const T& token) {
    { token.stop_requested() } noexcept -> std::same_as<bool>;
};

namespace detail {

// A stop token, right or not.
template <class T>
concept AsksForStop = requires(const std::remove_reference_t<T>& token) { token.stop_requested(); };

/// Returns true. A stop token that is not right has a compile error that gives the reason.
template <class T>
[[nodiscard]] consteval bool explain_stop_token() {
    static_assert(!AsksForStop<T> || StopTokenLike<std::remove_reference_t<T>>,
                  "StopTokenLike: stop_requested must be 'bool stop_requested() const noexcept'");
    return true;
}

}  // namespace detail

/// A token that never requests a stop.
struct NeverStops {
    /// Returns false.
    [[nodiscard]] static constexpr bool stop_requested() noexcept { return false; }
};

namespace part {
class StopWaiter;
}  // namespace part

namespace detail {

class LocalStop;

class StopState : public detail::Counted {
public:
    /// Makes a state that its last reference frees only if it is on the heap.
    explicit StopState(bool is_on_heap = true) noexcept : free_{is_on_heap ? &free : nullptr} {}

    // Frees through a pointer: compilers would warn of a `delete` for a state that is not on the
    // heap.
    void end() noexcept {
        if (free_ != nullptr) free_(this);
    }
    [[nodiscard]] bool requested() const noexcept {
        return requested_.load(std::memory_order_acquire);
    }
    inline void request() noexcept;
    void rearm() noexcept { requested_.exchange(false, std::memory_order_acq_rel); }
    inline void add(part::StopWaiter& waiter) noexcept;
    inline void remove(part::StopWaiter& waiter) noexcept;

private:
    static void free(StopState* state) noexcept { delete state; }

    void (*const free_)(StopState*) noexcept;
    std::atomic<bool> requested_{false};
    detail::SpinMutex mutex_;
    part::StopWaiter* first_ = nullptr;  // under mutex_
};

}  // namespace detail

/// A token that a StopSource gives to code that it may stop.
///
/// Models:        StopTokenLike, std::regular except for equality.
/// Thread safety: distinct objects safe, also if they come from one source.
class StopToken {
public:
    /// Makes a token that never requests a stop.
    StopToken() noexcept = default;

    [[nodiscard]] bool stop_requested() const noexcept { return state_ && state_->requested(); }

private:
    friend class StopSource;
    friend class part::StopWaiter;
    friend class detail::LocalStop;
    explicit StopToken(detail::Ref<detail::StopState> state) noexcept : state_{std::move(state)} {}

    detail::Ref<detail::StopState> state_;
};

/// Requests a stop from everything that holds one of its tokens.
///
/// Unlike std::stop_source, it needs neither <stop_token>, which some standard libraries lack, nor
/// <thread>. Copies are the same source.
///
/// Thread safety: distinct objects safe; `request_stop` and `token` also on a shared one.
class StopSource {
public:
    /// Throws: std::bad_alloc.
    StopSource() : state_{detail::Ref<detail::StopState>::make()} {}

    /// Returns a token that sees the stop. It may outlive the source.
    [[nodiscard]] StopToken token() const noexcept { return StopToken{state_}; }

    /// Requests a stop, and wakes all waiters. Another call does nothing.
    ///
    /// Errors: none.   Complexity: O(waiters).
    void request_stop() const noexcept { state_->request(); }

    /// Returns whether a stop was requested.
    [[nodiscard]] bool stop_requested() const noexcept { return state_->requested(); }

private:
    detail::Ref<detail::StopState> state_;
};

namespace part {

/// Calls a function once when the stop is requested; for writers of sleepers.
///
/// If the stop was requested already, it calls the function at once. The function runs on the
/// requesting thread, under a lock. It may wake a thread, and must not touch waiters or sources.
/// When the destructor has returned, the function is not running and will not run.
///
/// It cannot be copied or moved.   Thread safety: distinct objects safe.
class StopWaiter {
public:
    /// A function that a stop calls, on the thread that requests it.
    using Wake = void (*)(void* context) noexcept;

    StopWaiter(const StopToken& token, Wake wake, void* context) noexcept
        : state_{token.state_}, wake_{wake}, context_{context} {
        if (state_) state_->add(*this);
    }
    StopWaiter(const StopWaiter&) = delete;
    StopWaiter& operator=(const StopWaiter&) = delete;
    ~StopWaiter() {
        if (state_) state_->remove(*this);
    }

private:
    friend class detail::StopState;

    detail::Ref<detail::StopState> state_;
    Wake wake_;
    void* context_;
    StopWaiter* next_ = nullptr;
    StopWaiter** previous_ = nullptr;  // what points to this; null: not in the list
};

}  // namespace part

namespace detail {

/// A source that lives inside its owner, and allocates nothing.
///
/// It must outlive its tokens, all of which belong to its owner. It cannot be copied or moved.
/// Unlike with other sources, the function of a StopWaiter may call `request_stop`, because nothing
/// that its own waiters wake requests another stop.
///
/// Thread safety: `request_stop` and `token` also on a shared one.
class LocalStop {
public:
    [[nodiscard]] StopToken token() noexcept { return StopToken{Ref<StopState>::share(&state_)}; }
    void request_stop() noexcept { state_.request(); }
    /// Takes a request back, if there was one. Everything before it happens before the return.
    void rearm() noexcept { state_.rearm(); }

private:
    StopState state_{false};
};

}  // namespace detail

inline void detail::StopState::request() noexcept {
    const detail::SpinLock lock{mutex_};
    if (requested_.exchange(true, std::memory_order_acq_rel)) return;
    for (part::StopWaiter* w = first_; w != nullptr; w = w->next_) w->wake_(w->context_);
}

inline void detail::StopState::add(part::StopWaiter& waiter) noexcept {
    const detail::SpinLock lock{mutex_};
    if (requested()) {
        waiter.wake_(waiter.context_);
        return;
    }
    waiter.next_ = first_;
    waiter.previous_ = &first_;
    if (first_ != nullptr) first_->previous_ = &waiter.next_;
    first_ = &waiter;
}

inline void detail::StopState::remove(part::StopWaiter& waiter) noexcept {
    const detail::SpinLock lock{mutex_};
    if (waiter.previous_ == nullptr) return;
    *waiter.previous_ = waiter.next_;
    if (waiter.next_ != nullptr) waiter.next_->previous_ = waiter.previous_;
}

}}  // namespace belay
