// SPDX-License-Identifier: MIT
/// \file belay/sync/strategy_like.hpp
/// StrategyLike: who decides conflicts; LastWriteWins, LocalWins, RemoteWins.
#pragma once

#include <concepts>  // std::same_as

#include <belay/sync/conflict.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a strategy decides by.
template <OperationLike Op>
struct ConflictSides {
    using value_type = typename Op::value_type;
    using Answer = Resolution<value_type>;

    /// The operation that came.
    const Op& operation;
    /// What it contradicts.
    const ConflictReason& reason;
    /// The stamp of what the store has.
    Stamp local{};
    /// What the store has; null if that is a removal, or if the strategy asks for no values.
    const value_type* local_value = nullptr;
    /// What the operation brings; null if it removes.
    const value_type* remote_value = nullptr;
    /// What the operation was made upon, if that is known; else null.
    const value_type* base_value = nullptr;
};

/// The later change wins, of two at the same moment that of the higher origin: all stores that see
/// the same changes come to the same.
struct LastWriteWins {
    static constexpr bool needs_values = false;
    template <class Op>
    [[nodiscard]] auto operator()(const ConflictSides<Op>& sides) const noexcept {
        using Answer = typename ConflictSides<Op>::Answer;
        return sides.local < sides.operation.stamp ? Answer::keep_remote() : Answer::keep_local();
    }
};

/// What the store has stays.
struct LocalWins {
    static constexpr bool needs_values = false;
    template <class Op>
    [[nodiscard]] auto operator()(const ConflictSides<Op>&) const noexcept {
        return ConflictSides<Op>::Answer::keep_local();
    }
};

/// What comes is applied, older or not; the element keeps the higher stamp.
struct RemoteWins {
    static constexpr bool needs_values = false;
    template <class Op>
    [[nodiscard]] auto operator()(const ConflictSides<Op>&) const noexcept {
        return ConflictSides<Op>::Answer::keep_remote();
    }
};

namespace detail {

template <class St, class Op>
concept Decides = requires(St& strategy, const ConflictSides<Op>& sides) { strategy(sides); };
template <class St, class Op>
concept AnswersResolution = requires(St& strategy, const ConflictSides<Op>& sides) {
    { strategy(sides) } -> std::same_as<Resolution<typename Op::value_type>>;
};
template <class St>
[[nodiscard]] consteval bool needs_values() {
    if constexpr (requires { St::needs_values; }) {
        return St::needs_values;
    } else {
        return true;
    }
}

}  // namespace detail

/// Decides conflicts: a callable that takes `const ConflictSides<Op>&` and answers a
/// `Resolution<Op::value_type>`.
///
/// `static constexpr bool needs_values = false` says that it does not look at values, which then
/// need not be read. To converge, it must answer the same on every replica.
template <class St, class Op>
concept StrategyLike =
    OperationLike<Op> && detail::Decides<St, Op> && detail::AnswersResolution<St, Op>;

namespace explain {

/// Names every requirement of StrategyLike that St lacks.
template <class St, class Op>
consteval bool strategy_like() {
    static_assert(detail::Decides<St, Op>,
                  "StrategyLike: the strategy must be callable with 'const "
                  "belay::ConflictSides<Op>&', see docs/offline-first.md");
    if constexpr (detail::Decides<St, Op>) {
        static_assert(detail::AnswersResolution<St, Op>,
                      "StrategyLike: the strategy must return belay::Resolution of the value");
    }
    return StrategyLike<St, Op>;
}

}  // namespace explain

}}  // namespace belay
