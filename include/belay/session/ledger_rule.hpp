// SPDX-License-Identifier: MIT
/// \file belay/session/ledger_rule.hpp
/// check::LedgerRule: the rules for a ledger that the compiler cannot check.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t, std::uint64_t

#include <belay/core/assert.hpp>  // BELAY_ABI

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The rules for a ledger that the compiler cannot check.
///
/// LedgerLike explains them.
enum class LedgerRule : std::uint8_t {
    has_a_store_id,
    store_ids_differ,
    keeps_its_store_id,
    starts_empty,
    accepts_valid_calls,
    adopt_stores_progress,
    apply_stores_progress,
    commit_keeps_progress,
    separates_senders,
    move_keeps_everything,
    adopt_is_durable,
    commit_is_durable,
    reopening_returns_whole_progress,
    effects_match_progress
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(LedgerRule rule) noexcept {
    constexpr const char* sentences[] = {
        "store_id() is not all zeros",
        "each new ledger has a store id of its own",
        "store_id() stays the same, also when the ledger is moved or opened again",
        "progress returns nothing for a sender that was never adopted",
        "adopt, apply and commit accept valid arguments",
        "after adopt(sender, p), progress(sender) returns p, with all four fields",
        "after apply(sender, p, operation), progress(sender) returns p, with all four fields",
        "commit changes no progress",
        "a call for one sender changes the progress of no other sender",
        "a moved ledger keeps everything",
        "what adopt has stored is there when the ledger is opened again",
        "what was committed is there when the ledger is opened again",
        "a ledger that is opened again returns progress that it was given, with all four fields",
        "each operation up to the progress has taken effect once, and no other operation has"};
    const auto i = static_cast<std::size_t>(rule);
    return i < sizeof sentences / sizeof sentences[0] ? sentences[i] : "unknown";
}

/// A fault that check::ledger found in a ledger.
struct LedgerFault {
    /// The rule that is broken.
    LedgerRule rule{};
    /// The number of the history that broke it. The same ledger breaks it in the same history
    /// again.
    std::uint64_t history = 0;
    /// The number of steps before the fault.
    std::uint64_t step = 0;
};

}}}  // namespace belay::check
