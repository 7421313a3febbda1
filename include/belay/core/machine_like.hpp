// SPDX-License-Identifier: MIT
/// \file belay/core/machine_like.hpp
/// MachineLike: what a driver runs; and the guard that lets user code destroy a machine in its own
/// turn.
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

/// A long-lived part that a driver runs.
///
/// - `attach(Waker)`: the driver introduces itself, once; the machine keeps the Waker for its life.
/// - `deadline() const noexcept -> Instant`: when the machine next wants to run; `never` if it does
///   not, `always` if at once. It may move earlier only in `advance` or with `Waker::touch`/`wake`.
/// - `advance(Instant now)`: lets it run. Called too early, too often or too late it does no harm.
///
/// Semantics the compiler cannot check: advancing at any superset of the deadlines gives the same
/// history; after `advance(deadline())` the deadline has moved.
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

/// A machine's member by which turns in progress learn that the machine has been destroyed.
class Lifeline {
public:
    Lifeline() noexcept = default;
    Lifeline(const Lifeline&) = delete;
    Lifeline& operator=(const Lifeline&) = delete;
    ~Lifeline() {
        if (gone_ != nullptr) *gone_ = true;
    }

    /// Whether a turn is in progress.
    [[nodiscard]] bool in_turn() const noexcept { return gone_ != nullptr; }

private:
    friend class TurnGuard;
    bool* gone_ = nullptr;
};

/// Marks a turn of a machine; after user code has run, `gone()` says whether the machine still
/// exists.
class [[nodiscard]] TurnGuard {
public:
#if defined(__GNUC__) && !defined(__clang__)
// GCC does not see that the destructor takes the pointer back, unless its holder is gone.
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wpragmas"
#    pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif
    explicit TurnGuard(Lifeline& line) noexcept : line_{&line}, outer_{line.gone_} {
        line.gone_ = &gone_;
    }
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic pop
#endif
    TurnGuard(const TurnGuard&) = delete;
    TurnGuard& operator=(const TurnGuard&) = delete;
    ~TurnGuard() {
        if (!gone_) {
            line_->gone_ = outer_;
        } else if (outer_ != nullptr) {
            *outer_ = true;
        }
    }

    /// If true, no member of the machine may be touched any more.
    [[nodiscard]] bool gone() const noexcept { return gone_; }

private:
    Lifeline* line_;
    bool* outer_;
    bool gone_ = false;
};

}  // namespace driver

namespace detail {

/// Marks a turn of a machine from inside of what it calls, if it can be destroyed there: a friend
/// of those that have a `line_`.
struct LifelineOf {
    struct Lives {
        [[nodiscard]] static constexpr bool gone() noexcept { return false; }
    };
    template <class M>
    [[nodiscard]] static auto guard(M& machine) noexcept {
        if constexpr (requires { driver::TurnGuard{machine.line_}; }) {
            return driver::TurnGuard{machine.line_};
        } else {
            return Lives{};
        }
    }
    /// Whether one of its turns is on the stack, or a call of its transport.
    template <class M>
    [[nodiscard]] static bool in_turn(const M& machine) noexcept {
        return machine.line_.in_turn() || machine.live_.in_part();
    }
};

}  // namespace detail

}}  // namespace belay
