// SPDX-License-Identifier: MIT
/// \file belay/sync/merge_fields.hpp
/// MergeFields: merges two changes of a map field by field.
#pragma once

#include <concepts>  // std::equality_comparable

#include <belay/sync/strategy_like.hpp>

namespace belay { inline namespace BELAY_ABI {

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
