// SPDX-License-Identifier: MIT
/// \file belay/core/stop_source.hpp
/// StopSource, StopToken, StopTokenLike: asking something that waits to stop waiting.
#pragma once

#include <atomic>    // std::atomic
#include <concepts>  // std::same_as

#include <belay/core/detail/intrusive.hpp>
#include <belay/core/detail/spin_mutex.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Says whether somebody asked to stop: `stop_requested() const noexcept -> bool`.
///
/// std::stop_token is one. Semantics the compiler cannot check: once true, always true; any thread
/// may ask.
template <class T>
concept StopTokenLike = requires(const T& token) {
    { token.stop_requested() } noexcept -> std::same_as<bool>;
};

/// The token of what nobody stops.
struct NeverStops {
    [[nodiscard]] static constexpr bool stop_requested() noexcept { return false; }
};

namespace part {
class StopWaiter;
}  // namespace part

namespace detail {

class LocalStop;

class StopState : public detail::Counted {
public:
    /// On the heap, of which the last reference frees it, or not.
    explicit StopState(bool is_on_heap = true) noexcept : free_{is_on_heap ? &free : nullptr} {}

    // By a pointer: compilers that see one that is not on the heap would warn of a `delete`.
    void end() noexcept {
        if (free_ != nullptr) free_(this);
    }
    [[nodiscard]] bool requested() const noexcept {
        return requested_.load(std::memory_order_acquire);
    }
    inline void request() noexcept;
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

/// What a StopSource gives to those who shall stop.
///
/// Models:        StopTokenLike, std::regular but for equality.
/// Thread safety: distinct objects safe, also when they come from one source.
class StopToken {
public:
    /// A token that is never asked to stop.
    StopToken() noexcept = default;

    [[nodiscard]] bool stop_requested() const noexcept { return state_ && state_->requested(); }

private:
    friend class StopSource;
    friend class part::StopWaiter;
    friend class detail::LocalStop;
    explicit StopToken(detail::Ref<detail::StopState> state) noexcept : state_{std::move(state)} {}

    detail::Ref<detail::StopState> state_;
};

/// Asks everything that holds one of its tokens to stop. Unlike std::stop_source it needs neither
/// <stop_token>, which some standard libraries lack, nor <thread>.
///
/// Copies are the same source.
///
/// Thread safety: distinct objects safe; `request_stop` and `token` also on a shared one.
class StopSource {
public:
    /// Throws: std::bad_alloc.
    StopSource() : state_{detail::Ref<detail::StopState>::make()} {}

    [[nodiscard]] StopToken token() const noexcept { return StopToken{state_}; }

    /// Asks to stop, and wakes who waits. Asking again does nothing.
    ///
    /// Errors: none.   Complexity: O(waiters).
    void request_stop() const noexcept { state_->request(); }

    [[nodiscard]] bool stop_requested() const noexcept { return state_->requested(); }

private:
    detail::Ref<detail::StopState> state_;
};

namespace part {

/// For those who write sleepers: has a function called once when the stop is requested, at once if
/// it was already.
///
/// The function runs on the requesting thread, under a lock: it may wake somebody, and must not
/// touch waiters or sources. When the destructor has returned it is not running, and will not.
///
/// Pinned.   Thread safety: distinct objects safe.
class StopWaiter {
public:
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
    StopWaiter** previous_ = nullptr;  // who points to us; null: not in the list
};

}  // namespace part

namespace detail {

/// A source that lives where its owner does, and allocates nothing. It must outlive its tokens,
/// all of which are its owner's. Pinned. Unlike others it may be asked by a StopWaiter's function,
/// since nothing that its own waiters wake asks another.
///
/// Thread safety: `request_stop` and `token` also on a shared one.
class LocalStop {
public:
    [[nodiscard]] StopToken token() noexcept { return StopToken{Ref<StopState>::share(&state_)}; }
    void request_stop() noexcept { state_.request(); }

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
