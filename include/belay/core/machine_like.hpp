// SPDX-License-Identifier: MIT
/// \file belay/core/machine_like.hpp
/// MachineLike: the machines that a driver runs. LifetimeFlag and TurnGuard let user code destroy a
/// machine during the machine's own turn.
#pragma once

#include <concepts>  // std::same_as

#include <belay/core/waker.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class M>
concept HasAttach = requires(M& m, Waker w) { m.attach(static_cast<Waker&&>(w)); };
template <class M>
concept HasDeadline = requires(const M& m) {
    { m.deadline() } noexcept -> std::same_as<Instant>;
};
template <class M>
concept HasAdvance = requires(M& m, Instant now) { m.advance(now); };
}  // namespace detail

/// A long-lived object that a driver runs.
///
/// - `attach(Waker)`: the driver calls this once. The machine keeps the Waker for its life.
/// - `deadline() const noexcept -> Instant`: returns when the machine next needs a turn; `never` if
///   it needs none, `always` if at once. The deadline may move earlier only in `advance`, or with
///   `Waker::touch` or `wake`.
/// - `advance(Instant now)`: runs one turn. A call that is too early, too often or too late does no
///   harm.
///
/// Semantics the compiler cannot check: advancing at any superset of the deadlines gives the same
/// history. After `advance(deadline())` the deadline has moved.
template <class M>
concept MachineLike = detail::HasAttach<M> && detail::HasDeadline<M> && detail::HasAdvance<M>;

namespace explain {

/// Names every requirement of MachineLike that M lacks.
template <class M>
consteval bool machine_like() {
    static_assert(detail::HasAttach<M>, "MachineLike: M needs 'attach(belay::Waker)'");
    static_assert(detail::HasDeadline<M>,
                  "MachineLike: M needs 'Instant deadline() const noexcept'");
    static_assert(detail::HasAdvance<M>, "MachineLike: M needs 'advance(belay::Instant)'");
    return MachineLike<M>;
}

}  // namespace explain

namespace driver {

/// A member of a machine by which a running turn detects that the machine was destroyed.
class LifetimeFlag {
public:
    LifetimeFlag() noexcept = default;
    LifetimeFlag(const LifetimeFlag&) = delete;
    LifetimeFlag& operator=(const LifetimeFlag&) = delete;
    ~LifetimeFlag() {
        if (gone_ != nullptr) *gone_ = true;
    }

    /// Returns whether a turn is in progress.
    [[nodiscard]] bool in_turn() const noexcept { return gone_ != nullptr; }

private:
    friend class TurnGuard;
    bool* gone_ = nullptr;
};

/// Marks a turn of a machine, and detects whether user code destroys the machine in it.
///
/// After user code has run, `gone()` returns whether the machine was destroyed.
class [[nodiscard]] TurnGuard {
public:
#if defined(__GNUC__) && !defined(__clang__)
// GCC does not see that the destructor takes the pointer back, unless the machine is gone.
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wpragmas"
#    pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif
    explicit TurnGuard(LifetimeFlag& flag) noexcept : flag_{&flag}, outer_{flag.gone_} {
        flag.gone_ = &gone_;
    }
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic pop
#endif
    TurnGuard(const TurnGuard&) = delete;
    TurnGuard& operator=(const TurnGuard&) = delete;
    ~TurnGuard() {
        if (!gone_) {
            flag_->gone_ = outer_;
        } else if (outer_ != nullptr) {
            *outer_ = true;
        }
    }

    /// Returns whether the machine is gone. If true, do not touch its members any more.
    [[nodiscard]] bool gone() const noexcept { return gone_; }

private:
    LifetimeFlag* flag_;
    bool* outer_;
    bool gone_ = false;
};

}  // namespace driver

namespace detail {

/// Marks a turn of a machine from inside code that it calls, if that code can destroy the machine.
///
/// It is a friend of the machines that have a `lifetime_`.
struct LifetimeFlagOf {
    struct Lives {
        [[nodiscard]] static constexpr bool gone() noexcept { return false; }
    };
    template <class M>
    [[nodiscard]] static auto guard(M& machine) noexcept {
        if constexpr (requires { driver::TurnGuard{machine.lifetime_}; }) {
            return driver::TurnGuard{machine.lifetime_};
        } else {
            return Lives{};
        }
    }
    /// Returns whether one of the machine's turns, or a call of its transport, is on the stack.
    template <class M>
    [[nodiscard]] static bool in_turn(const M& machine) noexcept {
        return machine.lifetime_.in_turn() || machine.live_.in_part();
    }
};

}  // namespace detail

}}  // namespace belay
