// SPDX-License-Identifier: MIT
/// \file belay/sim/replay.hpp
/// sim::Replay: brings a world to any event of its history, by running it again.
#pragma once

#include <concepts>     // std::copy_constructible
#include <cstdint>      // std::uint64_t
#include <exception>    // std::exception_ptr
#include <optional>     // std::optional
#include <type_traits>  // std::is_invocable_r_v
#include <utility>      // std::move

#include <belay/sim/report.hpp>
#include <belay/sim/world.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// Runs the body of an exploration again, up to an event of the history.
///
/// Events are numbered from 1. Each call makes a new world with the same seed and scenario, and
/// calls a copy of the body. The world stops after the event that is looked for, and then the body
/// ends as after a violation. Its result and its exceptions are ignored.
///
/// Thread safety: one thread; distinct objects safe.
template <std::copy_constructible Body>
class Replay {
    static_assert(std::is_invocable_r_v<bool, Body&, World&>,
                  "sim::Replay: the body must be callable as bool body(sim::World&)");

public:
    /// Replays a seed with a scenario. `options.play` and `draw` are not used. If
    /// `options.record_lines` is 0, it is 1,000.
    Replay(Seed seed, Scenario scenario, Body body, WorldOptions options = {})
        : seed_{seed}, options_{std::move(options)}, body_{std::move(body)} {
        options_.play = std::move(scenario);
        options_.draw.reset();
        if (options_.record_lines == 0) options_.record_lines = 1000;
    }
    /// Replays a failure of `explore`, with its smallest scenario, its order and its limits.
    Replay(const Failing& failing, Body body, WorldOptions options = {})
        : Replay{failing.seed, failing.smallest, std::move(body), std::move(options)} {
        options_.order = failing.order;
        options_.events_max = failing.events_max;
        options_.time_max = failing.time_max;
    }

    /// Calls `inspect(World&)` after an event. World::text, json_lines and diagram return the
    /// history until then. `inspect` must not change the world.
    ///
    /// Pre: event > 0.   Returns: false if the history ends before that event.
    /// Throws: what `inspect` throws.   Complexity: that of running the world to the event.
    template <class F>
    bool to(std::uint64_t event, F&& inspect) {
        BELAY_PRECONDITION(event > 0, "Replay::to: event must be > 0, 1 is the first event");
        bool reached = false;
        run([&](World& world) {
            if (world.events() < event) return true;
            reached = true;
            inspect(world);
            return false;
        });
        return reached;
    }
    /// Returns the number of the first event after which `is_bad(World&)` returns true; nothing if
    /// there is none. It is called after each event, before the properties of the body. After a
    /// violation it is called once more, so that it may ask for World::violation.
    ///
    /// Pre: `is_bad` does not change the world.   Throws: what `is_bad` throws.
    template <class F>
    [[nodiscard]] std::optional<std::uint64_t> first(F&& is_bad) {
        std::optional<std::uint64_t> found;
        run([&](World& world) {
            if (is_bad(world)) found = world.events();
            return !found;
        });
        return found;
    }
    /// Returns how many events the history has.
    [[nodiscard]] std::uint64_t events() {
        std::uint64_t count = 0;
        run([&](World& world) {
            count = world.events();
            return true;
        });
        return count;
    }

private:
    /// Calls `goes_on(World&)` after every event, and at the end if the body has a violation, until
    /// it returns false.
    template <class F>
    void run(F goes_on) {
        World world{seed_, options_};
        Body body = body_;
        bool stopped = false;
#if defined(__cpp_exceptions)
        std::exception_ptr thrown;
        world.always("replay", [&]() -> bool {
            try {
                return !(stopped = !goes_on(world));
            } catch (...) {
                thrown = std::current_exception();
                return !(stopped = true);
            }
        });
        try {
            static_cast<void>(body(world));
        } catch (...) {
            // The body of a failure may throw, and one that is stopped halfway, too.
        }
        if (thrown) std::rethrow_exception(thrown);
#else
        world.always("replay", [&] { return !(stopped = !goes_on(world)); });
        static_cast<void>(body(world));
#endif
        if (!stopped && world.violation() && world.events() != 0) {
            static_cast<void>(goes_on(world));
        }
    }

    Seed seed_;
    WorldOptions options_;
    Body body_;
};

}}}  // namespace belay::sim
