// SPDX-License-Identifier: MIT
/// \file belay/sim/world.hpp
/// sim::World: simulates hosts, a network and time; the same seed gives the same history.
#pragma once

#include <concepts>     // std::integral
#include <memory>       // std::unique_ptr
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::forward
#include <vector>       // std::vector

#include <belay/sim/network.hpp>
#include <belay/sim/tcp.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// The options of a World, in addition to its seed.
struct WorldOptions {
    /// Lets a machine run too early, in one of `n` gaps between two instants on average; 0: never.
    /// A correct machine is not affected: the history stays the same.
    std::uint32_t extra_turns_one_in = 0;
};

/// A simulated world of hosts, a network and time.
///
/// Time stands still while code runs, and then jumps to the next event. At one instant events come
/// before machines, and events run in the order in which they were made. All randomness comes from
/// the seed. Each host, process, machine and connection has its own generator, so a change in one
/// does not disturb the others.
///
/// Thread safety: one thread; distinct worlds safe.
class World {
public:
    explicit World(Seed seed, WorldOptions options = {})
        : engine_{seed, options.extra_turns_one_in},
          fabric_{engine_},
          network_{fabric_},
          bits_{Seed{detail::mix(seed.value, detail::hash_of("world"))}} {}
    /// Does not compile, because a plain number does not show that it is a seed.
    template <std::integral Number>
    explicit World(Number, WorldOptions options = {}) : World{Seed{0}, options} {
        static_assert(!sizeof(Number), "World: write the seed as World{Seed{7}}");
    }
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World() {
        for (std::size_t i = hosts_.size(); i-- != 0;) hosts_[i]->end_process();
        for (const belay::detail::Ref<detail::Channel>& c : fabric_.channels) c->orphan();
    }

    // ---- hosts ---------------------------------------------------------------------------------

    /// Makes a host. `factory(Host&)` makes its process, now and at every restart. Its result
    /// (anything, a std::unique_ptr, or void) belongs to the host, and a kill destroys it.
    /// Pre: the name is new.   Throws: what `factory` throws.
    template <class F>
    Host& host(std::string_view name, F&& factory) {
        BELAY_PRECONDITION(fabric_.find(name) == nullptr, "World::host: the name must be new");
        const auto index = static_cast<std::uint32_t>(hosts_.size());
        hosts_.emplace_back(new Host(fabric_, name, index, std::forward<F>(factory)));
        Host& h = *hosts_.back();
        fabric_.stations.push_back(&h.station_);
        change(h, Change::start);
        return h;
    }
    /// Makes a host without a process of its own, to which the test adds the machines.
    Host& host(std::string_view name) {
        return host(name, [](Host&) {});
    }

    /// Switches the host's power off. The process ends at once, in the middle of its work, and the
    /// disk keeps what was synced. Peers see a reset after the latency; in a partition they see
    /// nothing. If a host's code calls kill, restart, pause or resume, the call takes effect when
    /// that code has returned.
    void kill(Host& h) { change(h, Change::kill); }
    /// Starts the process anew on the same disk, and kills the old one first if it is still alive.
    void restart(Host& h) {
        change(h, Change::kill);
        change(h, Change::start);
    }
    /// Freezes the process, as SIGSTOP does. None of its code runs, but its kernel still completes
    /// connections and keeps what arrives.
    void pause(Host& h) { change(h, Change::pause); }
    /// Lets a frozen process continue: first it reads what has arrived, and then its timers run.
    void resume(Host& h) { change(h, Change::resume); }

    [[nodiscard]] Network& network() noexcept { return network_; }

    // ---- the script ----------------------------------------------------------------------------

    /// Calls `f` at `time` since the start of the world, or at once if that time is over.
    /// Pre: time >= 0ns.
    template <class F>
    void at(Duration time, F&& f) {
        engine_.call_at(belay::after(Instant{}, time), nullptr,
                        [this, g = std::decay_t<F>(std::forward<F>(f))]() mutable {
                            engine_.note(detail::Mark::function, detail::no_host);
                            g();
                        });
    }
    /// Calls `f` after `d`.   Pre: d >= 0ns.
    template <class F>
    void after(Duration d, F&& f) {
        at(belay::after(engine_.now(), d).time_since_epoch(), std::forward<F>(f));
    }
    /// Returns a generator for the script, seeded from the world's seed; the world itself does not
    /// draw from it.
    [[nodiscard]] Random& bits() noexcept { return bits_; }

    // ---- running -------------------------------------------------------------------------------

    /// Runs for exactly `d`.   Pre: d >= 0ns, not called from inside the world.
    void run_for(Duration d) {
        const Instant end = belay::after(engine_.now(), d);
        while (step(end)) {
        }
        engine_.move_to(end);
    }
    /// Runs until `done()` holds, which is checked after every event, but no longer than `limit`.
    /// Returns: whether it holds.
    template <class F>
    [[nodiscard]] bool run_until(F&& done, Duration limit) {
        const Instant end = belay::after(engine_.now(), limit);
        while (!done()) {
            if (step(end)) continue;
            engine_.move_to(end);
            return done();
        }
        return true;
    }
    /// Runs until no event is left, but no longer than `limit`.
    /// Returns: whether no event is left; the time is then that of the last event.
    [[nodiscard]] bool run_until_idle(Duration limit) {
        const Instant end = belay::after(engine_.now(), limit);
        while (step(end)) {
        }
        if (engine_.idle()) return true;
        engine_.move_to(end);
        return false;
    }

    // ---- observers -----------------------------------------------------------------------------

    [[nodiscard]] Instant now() const noexcept { return engine_.now(); }
    [[nodiscard]] Clock clock() const noexcept { return Clock{engine_}; }
    /// Returns a hash of everything that has happened, in order; it is equal on every compiler and
    /// CPU. Turns of machines are not part of it, but their actions are.
    [[nodiscard]] std::uint64_t trace_hash() const noexcept { return engine_.hash(); }
    /// Returns how many events and turns there were.
    [[nodiscard]] std::uint64_t events() const noexcept { return engine_.events(); }

private:
    enum class Change : std::uint8_t { start, kill, pause, resume };
    struct Deferred {
        Host* host;
        Change change;
    };
    void change(Host& h, Change c) {
        deferred_.push_back({&h, c});
        carry_out();
    }
    void carry_out() {
        if (engine_.inside()) return;
        while (!deferred_.empty()) {
            const Deferred d = deferred_.front();
            deferred_.erase(deferred_.begin());
            if (d.change == Change::start) d.host->start();
            if (d.change == Change::kill) d.host->kill();
            if (d.change == Change::pause) d.host->pause();
            if (d.change == Change::resume) d.host->resume();
        }
    }
    bool step(Instant end) {
        BELAY_PRECONDITION(!engine_.inside(),
                           "World::run: the function must not be called from inside a run");
        if (!deferred_.empty()) carry_out();
        const bool ran = engine_.step(end);
        if (!deferred_.empty()) carry_out();
        return ran;
    }

    detail::Engine engine_;
    detail::Fabric fabric_;
    Network network_;
    Random bits_;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::vector<Deferred> deferred_;
};

}}}  // namespace belay::sim
