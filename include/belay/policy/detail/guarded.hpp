// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/guarded.hpp
/// Guarded: a value that several threads share, protected by a one-byte lock.
#pragma once

#include <type_traits>  // std::is_constant_evaluated

#include <belay/core/detail/spin_mutex.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The state of a shared object whose changes affect several numbers at once. In a constant
/// expression, which has one thread, it takes no lock. Timelines can therefore be checked with
/// static_assert.
///
/// Thread safety: any thread.   Blocks: for a few instructions of another caller.
template <class State>
class Guarded {
public:
    constexpr explicit Guarded(State state) noexcept : state_{state} {}
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    /// Returns `use(state)`, called under the lock.   Pre: `use` calls no user code.
    template <class F>
    constexpr auto with(F use) noexcept {
        // Not a conditional expression: see RatioBudget::reserve.
        if (std::is_constant_evaluated()) return use(state_);
        return locked(use, state_);
    }
    template <class F>
    constexpr auto with(F use) const noexcept {
        if (std::is_constant_evaluated()) return use(state_);
        return locked(use, state_);
    }

private:
    template <class F, class S>
    auto locked(F& use, S& state) const noexcept {
        const detail::SpinLock lock{mutex_};
        return use(state);
    }

    State state_;
    mutable detail::SpinMutex mutex_;
};

}}}  // namespace belay::detail
