// SPDX-License-Identifier: MIT
/// \file belay/room/persistence_check.hpp
/// check::persistence: tests whether a persistence of rooms is correct; room.hpp does not include
/// it.
#pragma once

#include <concepts>  // std::invocable, std::same_as
#include <cstdint>   // std::uint64_t
#include <optional>  // std::optional
#include <thread>    // std::this_thread::yield
#include <utility>   // std::move

#include <belay/room/detail/persistence_checker.hpp>
#include <belay/room/persistence_rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The extent of the tests of check::persistence, and how long it waits for answers.
struct PersistenceOptions {
    /// The number of histories.
    std::uint64_t histories = 100;
    /// The number of steps in a history: changes, flushes, saves, loads, reopenings and so on.
    std::uint64_t steps = 200;
    /// The maximum number of bytes of an update.
    std::size_t update_bytes_max = 2000;
    /// An answer that takes longer counts as none.
    Duration answer_timeout = std::chrono::seconds{10};
};

/// Runs random histories of some rooms on a persistence, and returns the first fault.
///
/// Returns nothing if there is no fault.
///
///     const auto fault = check::persistence([] { return MemoryRooms{}; });
///     if (fault) std::puts(to_string(fault->rule));
///
/// - `make()` returns a new, empty persistence.
/// - `reopen()` is for a persistence that outlives its object. It opens the persistence that `make`
///   returned last again, after its object was destroyed. The persistence may lose what was not
///   flushed, so you may simulate a crash.
/// - `pump()` is called again and again while an answer is awaited. It runs the loop that brings
///   the answer.
///
/// - `displace(away)` is for a persistence in files. With `true`, it moves away the files of the
///   persistence that `make` returned last, which are open, or puts others in their place. With
///   `false`, it puts those files back. This comes in a history of its own, the last one.
///
/// The same arguments give the same histories.
/// Errors:     the fault.   Throws: what the persistence and the other arguments throw.
/// Complexity: `histories` times `steps`, times a few rooms.
template <class Make, std::invocable Reopen, std::invocable Pump, std::invocable<bool> Displace>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make, Reopen reopen, Pump pump,
                                                          Displace displace,
                                                          const PersistenceOptions& options = {}) {
    for (std::uint64_t history = 0; history < options.histories; ++history) {
        detail::PersistenceChecker<Make, Reopen, Pump> checker{
            make, reopen, {pump, options.answer_timeout}, {history, options.update_bytes_max}};
        for (std::uint64_t step = 0; step <= options.steps; ++step) {
            if (checker.broken()) return PersistenceFault{*checker.broken(), history, step};
            if (step < options.steps) checker.step();
        }
    }
    if constexpr (!std::same_as<Displace, detail::NeverDisplacedRooms>) {
        const std::uint64_t history = options.histories;
        detail::PersistenceChecker<Make, Reopen, Pump> checker{
            make, reopen, {pump, options.answer_timeout}, {history, options.update_bytes_max}};
        checker.displace(displace);
        if (checker.broken()) return PersistenceFault{*checker.broken(), history, 0};
    }
    return std::nullopt;
}

/// Tests a persistence without moving its files.
template <class Make, std::invocable Reopen, std::invocable Pump>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make, Reopen reopen, Pump pump,
                                                          const PersistenceOptions& options = {}) {
    return persistence(std::move(make), std::move(reopen), std::move(pump),
                       detail::NeverDisplacedRooms{}, options);
}

/// Tests a persistence that answers inside its calls, or from a thread of its own.
template <class Make, std::invocable Reopen>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make, Reopen reopen,
                                                          const PersistenceOptions& options = {}) {
    return persistence(
        std::move(make), std::move(reopen), [] { std::this_thread::yield(); }, options);
}

/// Tests a persistence that ends with its object.
template <class Make>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make,
                                                          const PersistenceOptions& options = {}) {
    if constexpr (std::invocable<Make&>) {
        return persistence(std::move(make), detail::NeverReopenedRooms{}, options);
    } else {
        static_assert(!sizeof(Make),
                      "check::persistence: make must be callable and return a new persistence: [] "
                      "{ return Mine{}; }");
        return std::nullopt;
    }
}

}}}  // namespace belay::check
