// SPDX-License-Identifier: MIT
/// \file belay/session/ledger_check.hpp
/// check::ledger: tests whether a ledger is correct; session.hpp does not include it.
#pragma once

#include <concepts>  // std::invocable
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <optional>  // std::optional, std::nullopt
#include <utility>   // std::exchange, std::move

#include <belay/core/random.hpp>
#include <belay/session/detail/ledger_checker.hpp>
#include <belay/session/ledger_rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The extent of the tests of check::ledger.
struct LedgerOptions {
    /// The number of histories.
    std::uint64_t histories = 100;
    /// The number of steps in a history: operations, commits, new journals, moves and reopenings.
    std::uint64_t steps = 200;
    /// The number of senders, from 1 to 200.
    std::size_t senders = 3;
    /// Makes an operation that the ledger accepts. The default makes up to 40 random bytes.
    Bytes (*operation)(Random& bits) = detail::random_operation;
};

/// Runs random histories of some senders on a ledger, and returns the first fault.
///
/// Returns nothing if there is no fault. It calls the ledger as a Receiver does: it commits before
/// each `adopt`, and applies the operations of a journal in order.
///
///     const auto fault = check::ledger([&] { return Mine::create(path); },
///                                      [&] { return Mine::open(path); });
///     if (fault) std::puts(to_string(fault->rule));
///
/// - `make()` returns a new, empty ledger, with an id of its own.
/// - `reopen()` opens the ledger that `make` returned last again, after its object was destroyed.
///   The ledger may lose what was not committed, so you may simulate a crash.
/// - `effects(ledger)` returns the number of operations that have taken effect. With it, the check
///   compares effects and progress.
///
/// The same arguments give the same histories.
/// Pre:        `options.senders` is from 1 to 200.
/// Errors:     the fault.   Throws: what the ledger and the other arguments throw.
/// Complexity: `histories` times `steps` times `senders`.
template <class Make, std::invocable Reopen, class Effects>
    requires std::invocable<Effects&, const detail::MadeBy<Make>&>
[[nodiscard]] std::optional<LedgerFault> ledger(Make make, Reopen reopen, Effects effects,
                                                const LedgerOptions& options = {}) {
    BELAY_OPTION(options.senders >= 1 && options.senders <= 200,
                 "LedgerOptions: senders must be from 1 to 200");
    Id previous = no_id;
    for (std::uint64_t history = 0; history < options.histories; ++history) {
        detail::LedgerChecker<Make, Reopen, Effects> checker{
            make, reopen, effects, {Random{Seed{history}}, options.senders, options.operation}};
        checker.differs_from(std::exchange(previous, checker.store_id()));
        for (std::uint64_t step = 0; step <= options.steps; ++step) {
            if (checker.broken()) return LedgerFault{*checker.broken(), history, step};
            if (step < options.steps) checker.step();
        }
    }
    return std::nullopt;
}

/// Tests a ledger, and does not count its effects.
template <class Make, std::invocable Reopen>
[[nodiscard]] std::optional<LedgerFault> ledger(Make make, Reopen reopen,
                                                const LedgerOptions& options = {}) {
    return ledger(std::move(make), std::move(reopen), detail::UncountedEffects{}, options);
}

/// Tests a ledger that ends with its object.
template <class Make>
[[nodiscard]] std::optional<LedgerFault> ledger(Make make, const LedgerOptions& options = {}) {
    if constexpr (std::invocable<Make&>) {
        return ledger(std::move(make), detail::NeverReopenedLedger{}, options);
    } else {
        static_assert(!sizeof(Make),
                      "check::ledger: make must be callable and return a new ledger: [] { return "
                      "Mine{}; }");
        return std::nullopt;
    }
}

}}}  // namespace belay::check
