// SPDX-License-Identifier: MIT
/// \file belay/room/persistence_check.hpp
/// check::persistence: is a persistence of rooms right? For tests; room.hpp does not include it.
#pragma once

#include <cstdint>   // std::uint64_t
#include <optional>  // std::optional
#include <thread>    // std::this_thread::yield
#include <utility>   // std::move

#include <belay/room/detail/persistence_checker.hpp>
#include <belay/room/persistence_rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// How long check::persistence looks, and waits.
struct PersistenceOptions {
    std::uint64_t histories = 100;
    /// Changes, flushes, saves, loads, reopenings and so on in a history.
    std::uint64_t steps = 200;
    /// The longest update.
    std::size_t update_bytes_max = 2000;
    /// An answer that takes longer is none.
    Duration answer_timeout = std::chrono::seconds{10};
};

/// Runs random histories of some rooms on a persistence, and answers the first fault; nothing if
/// there is none.
///
///     const auto fault = check::persistence([] { return MemoryRooms{}; });
///     if (fault) std::puts(to_string(fault->rule));
///
/// - `make()` gives a new, empty persistence;
/// - `reopen()`, for one that outlives its object: gives the persistence that `make` gave last
///   again, after it was destroyed. It may lose what was not flushed: a crash is welcome;
/// - `pump()` is called again and again while an answer is awaited: runs the loop that brings it.
///
/// The same arguments give the same histories.
/// Errors:     the fault.   Throws: what the persistence, `make`, `reopen` and `pump` throw.
/// Complexity: `histories` times `steps`, times a few rooms.
template <class Make, std::invocable Reopen, std::invocable Pump>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make, Reopen reopen, Pump pump,
                                                          const PersistenceOptions& options = {}) {
    for (std::uint64_t history = 0; history < options.histories; ++history) {
        detail::PersistenceChecker<Make, Reopen, Pump> checker{
            make, reopen, {pump, options.answer_timeout}, {history, options.update_bytes_max}};
        for (std::uint64_t step = 0; step <= options.steps; ++step) {
            if (checker.broken()) return PersistenceFault{*checker.broken(), history, step};
            if (step < options.steps) checker.step();
        }
    }
    return std::nullopt;
}

/// The same for one that answers inside of its calls, or from a thread of its own.
template <class Make, std::invocable Reopen>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make, Reopen reopen,
                                                          const PersistenceOptions& options = {}) {
    return persistence(
        std::move(make), std::move(reopen), [] { std::this_thread::yield(); }, options);
}

/// The same for one that ends with its object.
template <class Make>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make,
                                                          const PersistenceOptions& options = {}) {
    if constexpr (std::invocable<Make&>) {
        return persistence(std::move(make), detail::NeverReopenedRooms{}, options);
    } else {
        static_assert(!sizeof(Make),
                      "check::persistence: make must be callable and give a new persistence: [] { "
                      "return Mine{}; }");
        return std::nullopt;
    }
}

}}}  // namespace belay::check
