// SPDX-License-Identifier: MIT
/// \file belay/sync/strategy_like.hpp
/// StrategyLike: decides conflicts; LastWriteWins, LocalWins, RemoteWins.
#pragma once

#include <concepts>  // std::same_as

#include <belay/sync/conflict.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The two sides of a conflict, by which a strategy decides.
template <OperationLike Op>
struct ConflictSides {
    using value_type = typename Op::value_type;
    using Answer = Resolution<value_type>;

    /// One side: its stamp, and its value; null as `local_value` and `remote_value` are.
    struct Side {
        Stamp stamp{};
        const value_type* value = nullptr;
    };

    /// The operation that came.
    const Op& operation;
    /// The reason of the conflict.
    const ConflictReason& reason;
    /// The stamp of the element in the store.
    Stamp local{};
    /// The value in the store; null for a removal, or if the strategy does not need values.
    const value_type* local_value = nullptr;
    /// The value that the operation brings; null if it removes.
    const value_type* remote_value = nullptr;
    /// The value that the client changed, if it is known; else null.
    const value_type* base_value = nullptr;

    /// Returns the side with the lower stamp. A strategy that uses only `earlier`, `later` and
    /// `base_value` returns the same for two edits, whichever came first.
    [[nodiscard]] Side earlier() const noexcept {
        return is_later() ? local_side() : remote_side();
    }
    /// Returns the side with the higher stamp.
    [[nodiscard]] Side later() const noexcept { return is_later() ? remote_side() : local_side(); }

private:
    [[nodiscard]] bool is_later() const noexcept { return local < operation.stamp; }
    [[nodiscard]] Side local_side() const noexcept { return {local, local_value}; }
    [[nodiscard]] Side remote_side() const noexcept { return {operation.stamp, remote_value}; }
};

/// Keeps the later change, or that of the higher origin if both are of the same moment.
///
/// All stores that see the same changes come to the same result.
struct LastWriteWins {
    static constexpr bool needs_values = false;
    template <class Op>
    [[nodiscard]] auto operator()(const ConflictSides<Op>& sides) const noexcept {
        using Answer = typename ConflictSides<Op>::Answer;
        return sides.local < sides.operation.stamp ? Answer::keep_remote() : Answer::keep_local();
    }
};

/// Keeps what the store has.
struct LocalWins {
    static constexpr bool needs_values = false;
    template <class Op>
    [[nodiscard]] auto operator()(const ConflictSides<Op>&) const noexcept {
        return ConflictSides<Op>::Answer::keep_local();
    }
};

/// Applies what comes, even if it is older; its version gets a stamp above what it replaces.
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

/// Decides conflicts: a callable that takes `const ConflictSides<Op>&` and returns a
/// `Resolution<Op::value_type>`.
///
/// `static constexpr bool needs_values = false` declares that the strategy does not use values,
/// which then need not be read. For replicas to converge, the strategy must return the same on each
/// of them.
template <class St, class Op>
concept StrategyLike =
    OperationLike<Op> && detail::Decides<St, Op> && detail::AnswersResolution<St, Op>;

namespace explain {

/// Names every requirement of StrategyLike that St lacks.
template <class St, class Op>
consteval bool strategy_like() {
    static_assert(detail::Decides<St, Op>,
                  "StrategyLike: the strategy must be callable with 'const "
                  "belay::ConflictSides<Op>&', which has local_value, remote_value, base_value, "
                  "earlier().value and later().value; see docs/how-to/merge-edits.md");
    if constexpr (detail::Decides<St, Op>) {
        static_assert(detail::AnswersResolution<St, Op>,
                      "StrategyLike: the strategy must return belay::Resolution of the value");
    }
    return StrategyLike<St, Op>;
}

}  // namespace explain

}}  // namespace belay
