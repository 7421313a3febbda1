// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/conflict_table.hpp
/// find_conflict: the table of conflicts in docs/explanation/conflicts.md, as a function.
#pragma once

#include <cstdint>   // std::uint8_t
#include <optional>  // std::optional

#include <belay/sync/conflict.hpp>
#include <belay/sync/detail/version.hpp>
#include <belay/sync/store_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The result of the table for an operation.
enum class ConflictAction : std::uint8_t {
    apply,                    ///< no conflict
    log,                      ///< changes nothing
    skip,                     ///< under every strategy
    skip_and_keep_tombstone,  ///< the same, and the removal is remembered
    raise_tombstone,          ///< removed already: the later stamp counts
    strategy_decides,         ///< the columns differ
    compare_contents,         ///< the same, except if the contents are equal: no conflict then
};

struct ConflictEntry {
    ConflictAction action = ConflictAction::apply;
    /// None if there is no conflict.
    std::optional<ConflictReason> reason{};
};

/// Rows 1 to 6: Add.
[[nodiscard]] constexpr ConflictEntry find_add_conflict(const part::ElementState& local,
                                                        const Stamp& remote) noexcept {
    if (local.presence == part::Presence::absent) return {};
    if (local.presence == part::Presence::live) {
        if (compare_moments(remote, local.stamp) < 0) {
            return {ConflictAction::strategy_decides, StaleTimestamp{local.stamp, remote}};
        }
        return {ConflictAction::strategy_decides, ElementAlreadyExists{}};
    }
    // By the whole stamp. Otherwise the result of an Add and a Remove of one moment would depend on
    // their order of arrival.
    if (local.stamp < remote) return {ConflictAction::strategy_decides, ConcurrentModification{}};
    return {ConflictAction::strategy_decides, StaleTimestamp{local.stamp, remote}};
}

/// Rows 8 to 10, and 13 to 15: an Update or Remove of a live element.
[[nodiscard]] constexpr ConflictEntry find_change_conflict(const Stamp& local,
                                                           const Stamp& remote) noexcept {
    const auto order = compare_moments(remote, local);
    if (order > 0) return {};
    if (order == 0) return {ConflictAction::strategy_decides, ConcurrentModification{}};
    return {ConflictAction::strategy_decides, StaleTimestamp{local, remote}};
}

/// Rows 18 to 21: an operation whose author named the version that it changes.
[[nodiscard]] constexpr ConflictEntry find_causal_conflict(OperationKind kind,
                                                           const part::ElementState& local,
                                                           const Stamp& remote,
                                                           const Stamp& saw) noexcept {
    const Relation found = relation(Version{saw}, Version{remote}, Version{local.stamp});
    // The stamp of an operation may be that of the version that its author saw.
    const bool replaces =
        found == Relation::mine_newer || (found == Relation::same && remote == saw);
    if (local.presence == part::Presence::absent || replaces) return {};
    // From here on, both have replaced what the author saw. So it is for a `saw` later than the
    // version here. The store may lack that version, or have decided against it. In both cases the
    // author has not seen the version here.
    if (kind == OperationKind::remove && local.presence == part::Presence::removed) {
        // A version that the store lacks may come yet. Its author has not seen that this operation
        // removed it, so the removal has a version of its own.
        return {local.stamp < saw ? ConflictAction::apply : ConflictAction::raise_tombstone, {}};
    }
    // Several devices may restore one version, and its author may send it again. A store that was
    // restored itself may have given the stamp to another version.
    const bool may_be_same = found == Relation::same && local.presence == part::Presence::live &&
                             kind != OperationKind::remove;
    return {may_be_same ? ConflictAction::compare_contents : ConflictAction::strategy_decides,
            ConcurrentModification{}};
}

/// Returns the row of an operation with this stamp. `saw` is the version that its author changed.
[[nodiscard]] constexpr ConflictEntry find_conflict(OperationKind kind,
                                                    const part::ElementState& local,
                                                    const Stamp& remote,
                                                    const std::optional<Stamp>& saw) noexcept {
    if (saw && kind != OperationKind::interaction) {
        return find_causal_conflict(kind, local, remote, *saw);
    }
    switch (kind) {
        case OperationKind::add:
            return find_add_conflict(local, remote);
        case OperationKind::update:
            if (local.presence == part::Presence::live)
                return find_change_conflict(local.stamp, remote);
            return {ConflictAction::skip, ElementNotFound{}};
        case OperationKind::remove:
            if (local.presence == part::Presence::live)
                return find_change_conflict(local.stamp, remote);
            if (local.presence == part::Presence::removed)
                return {ConflictAction::raise_tombstone, {}};
            return {ConflictAction::skip_and_keep_tombstone, ElementNotFound{}};
        case OperationKind::interaction:
            break;
    }
    return {ConflictAction::log, {}};
}

}}}  // namespace belay::detail
