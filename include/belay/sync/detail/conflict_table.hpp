// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/conflict_table.hpp
/// judge: the table of conflicts in docs/offline-first.md, as a function.
#pragma once

#include <cstdint>   // std::uint8_t
#include <optional>  // std::optional

#include <belay/sync/conflict.hpp>
#include <belay/sync/store_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The result of the table for an operation.
enum class Ruling : std::uint8_t {
    apply,                    ///< no conflict
    log,                      ///< changes nothing
    skip,                     ///< under every strategy
    skip_and_keep_tombstone,  ///< the same, and the removal is remembered
    raise_tombstone,          ///< removed already: the later stamp counts
    strategy_decides,         ///< the columns differ
};

struct Judgement {
    Ruling ruling = Ruling::apply;
    /// None if there is no conflict.
    std::optional<ConflictReason> reason{};
};

/// Rows 1 to 6: Add.
[[nodiscard]] constexpr Judgement judge_add(const part::ElementState& local,
                                            const Stamp& remote) noexcept {
    if (local.presence == part::Presence::absent) return {};
    if (local.presence == part::Presence::live) {
        if (compare_moments(remote, local.stamp) < 0) {
            return {Ruling::strategy_decides, StaleTimestamp{local.stamp, remote}};
        }
        return {Ruling::strategy_decides, ElementAlreadyExists{}};
    }
    // By the whole stamp. Otherwise the result of an Add and a Remove of one moment would depend on
    // their order of arrival.
    if (local.stamp < remote) return {Ruling::strategy_decides, ConcurrentModification{}};
    return {Ruling::strategy_decides, StaleTimestamp{local.stamp, remote}};
}

/// Rows 8 to 10, and 13 to 15: an Update or Remove of a live element.
[[nodiscard]] constexpr Judgement judge_change(const Stamp& local, const Stamp& remote) noexcept {
    const auto order = compare_moments(remote, local);
    if (order > 0) return {};
    if (order == 0) return {Ruling::strategy_decides, ConcurrentModification{}};
    return {Ruling::strategy_decides, StaleTimestamp{local, remote}};
}

[[nodiscard]] constexpr Judgement judge(OperationKind kind, const part::ElementState& local,
                                        const Stamp& remote) noexcept {
    switch (kind) {
        case OperationKind::add:
            return judge_add(local, remote);
        case OperationKind::update:
            if (local.presence == part::Presence::live) return judge_change(local.stamp, remote);
            return {Ruling::skip, ElementNotFound{}};
        case OperationKind::remove:
            if (local.presence == part::Presence::live) return judge_change(local.stamp, remote);
            if (local.presence == part::Presence::removed) return {Ruling::raise_tombstone, {}};
            return {Ruling::skip_and_keep_tombstone, ElementNotFound{}};
        case OperationKind::interaction:
            break;
    }
    return {Ruling::log, {}};
}

}}}  // namespace belay::detail
