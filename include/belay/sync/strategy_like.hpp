// SPDX-License-Identifier: MIT
/// \file belay/sync/strategy_like.hpp
/// StrategyLike: decides conflicts; LastWriteWins, LocalWins, RemoteWins.
/// MergeFields: merges two changes of a map field by field.
#pragma once

#include <concepts>  // std::same_as, std::equality_comparable

#include <belay/sync/conflict.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The two sides of a conflict, by which a strategy decides.
template <OperationLike Op>
struct ConflictSides {
    using value_type = typename Op::value_type;
    /// The type that a strategy returns.
    using Answer = Resolution<value_type>;

    /// One side: its stamp, and its value; null as `local_value` and `remote_value` are.
    struct Side {
        /// The stamp of that version.
        Stamp stamp{};
        /// Its value, valid during the call of the strategy.
        const value_type* value = nullptr;
    };

    /// The operation that came.
    const Op& operation;
    /// The reason of the conflict.
    const ConflictReason& reason;
    /// The stamp of the element in the store.
    Stamp local{};
    /// The value in the store; null for a removal, if it cannot be read, or if the strategy does
    /// not need values.
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
    /// It compares stamps only, so the processor reads no value to decide.
    static constexpr bool needs_values = false;
    template <class Op>
    [[nodiscard]] auto operator()(const ConflictSides<Op>& sides) const noexcept {
        using Answer = typename ConflictSides<Op>::Answer;
        return sides.local < sides.operation.stamp ? Answer::keep_remote() : Answer::keep_local();
    }
};

/// Keeps what the store has.
struct LocalWins {
    /// It compares nothing, so the processor reads no value to decide.
    static constexpr bool needs_values = false;
    template <class Op>
    [[nodiscard]] auto operator()(const ConflictSides<Op>&) const noexcept {
        return ConflictSides<Op>::Answer::keep_local();
    }
};

/// Applies what comes, even if it is older; its version gets a stamp above what it replaces.
struct RemoteWins {
    /// It compares nothing. The processor reads the replaced value only for the report.
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

namespace detail {

template <class Map>
concept MergesByField = std::equality_comparable<typename Map::mapped_type> &&
                        requires(Map& map, const Map& same, const typename Map::key_type& key,
                                 const typename Map::mapped_type& field) {
                            { same.find(key) == same.end() } -> std::convertible_to<bool>;
                            same.begin()->first;
                            same.begin()->second;
                            map.insert_or_assign(key, field);
                            map.erase(key);
                        };

}  // namespace detail

/// Merges two concurrent changes of a value that is a map, such as std::map, field by field.
///
/// A field that only one of the two has changed, added or removed gets that change. If both have
/// changed it, the later stamp counts. The value before the change is `UpdateElement::base`, which
/// a Replica adds. Without it, a field that one side lacks is kept. A change next to a removal of
/// the whole element is decided as by LastWriteWins.
///
/// Two edits with `saw` come to the same in both orders. If two of three touch one field, the order
/// of arrival may decide. The processor reports a merged operation in SyncResult::overwrote.
///
/// Models:        StrategyLike.
/// Thread safety: distinct objects and one shared object safe (no state).
/// Complexity:    linear in the fields, apart from look-ups.   Throws: std::bad_alloc.
struct MergeFields {
    template <class Op>
    [[nodiscard]] auto operator()(const ConflictSides<Op>& sides) const {
        using Map = typename ConflictSides<Op>::value_type;
        using Answer = typename ConflictSides<Op>::Answer;
        static_assert(detail::MergesByField<Map>,
                      "MergeFields: the value must be a map with find, insert_or_assign and erase, "
                      "whose fields have ==");
        if (sides.local_value == nullptr || sides.remote_value == nullptr) {
            return LastWriteWins{}(sides);
        }
        const Map& earlier = *sides.earlier().value;
        const Map& later = *sides.later().value;
        const Map* const base = sides.base_value;
        Map merged = later;
        for (const auto& [key, field] : earlier) {
            const auto* const before = base != nullptr ? find(*base, key) : nullptr;
            const bool changed = before == nullptr || !(*before == field);
            const auto* const now = find(later, key);
            // The later side has left this field as it was.
            const bool untouched =
                now == nullptr ? before == nullptr : before != nullptr && *now == *before;
            if (changed && untouched) merged.insert_or_assign(key, field);
        }
        if (base != nullptr) {
            for (const auto& [key, field] : *base) {
                const auto* const now = find(later, key);
                const bool untouched = now != nullptr && *now == field;
                if (untouched && find(earlier, key) == nullptr) merged.erase(key);
            }
        }
        return Answer::merged(std::move(merged));
    }

private:
    template <class Map>
    [[nodiscard]] static const typename Map::mapped_type* find(const Map& map,
                                                               const typename Map::key_type& key) {
        const auto at = map.find(key);
        return at != map.end() ? &at->second : nullptr;
    }
};

}}  // namespace belay
