// SPDX-License-Identifier: MIT
// Goal: after every sequence of events, a fleet keeps its limits, its lists agree with its services,
// and each service whose server can connect still can. Method: sim::exhaust over whole fleets. A
// fleet cannot be copied, so the model stores the steps and makes them again. BELAY_DEPTH is the
// depth.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <belay/fleet/fleet.hpp>
#include <belay/sim/exhaust.hpp>

#include "support/catch.hpp"
#include "support/link/fake_transport.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace fleet_exploration {

/// A rule that waits a second after each failure, and limits each attempt.
struct Rule {
    Duration limit;

    [[nodiscard]] Advice failed(const Failure&, Turn& turn) noexcept {
        return Advice::wait_at_least(after(turn.now, 1s));
    }
    [[nodiscard]] Advice lost(const Failure&, Turn& turn) noexcept {
        return Advice::wait_at_least(after(turn.now, 1s));
    }
    [[nodiscard]] Duration attempt_limit() const noexcept { return limit; }
    [[nodiscard]] Duration stable_window() const noexcept { return 1s; }
};

/// Reads when the last attempt by hand was, or will be.
struct Core : timeline::SupervisorCore<detail::FleetPolicy<Rule>> {
    using Base = timeline::SupervisorCore<detail::FleetPolicy<Rule>>;
    static Instant manual_at(const Base& core) { return core.*(&Core::manual_at_); }
};

/// The driver of a machine, as far as it has a time.
struct Time : driver::WakeNode {
    Time() : WakeNode{table} {}

    static Instant now_of(WakeNode& node) noexcept { return static_cast<Time&>(node).now; }
    static constexpr driver::WakeOps table{.wake = [](WakeNode&) noexcept {},
                                           .touch = [](WakeNode&) noexcept {},
                                           .now = now_of,
                                           .detach = [](WakeNode&) noexcept {},
                                           .destroy = [](WakeNode*) noexcept {}};
    Instant now{Duration{1000s}};
};

/// Stores when the last suspicion began.
struct Since {
    Instant* since;
    void on_network_suspect(const NetworkSuspect& what) { *since = what.since; }
};

constexpr std::array event_names{"opens",     "answers", "turn",         "time",
                                 "late turn", "stops",   "starts",       "is unreachable",
                                 "refuses",   "is lost", "is unhealthy", "reconnects by hand"};
// The steps from `late` on are unfair.
enum Event : std::size_t {
    opens,
    answers,
    turn,
    time,
    late,
    stops,
    starts,
    unreachable,
    refuses,
    is_lost,
    unhealthy,
    by_hand
};

/// A step, of one service if it is not the fleet's.
struct Taken {
    Event event;
    std::size_t service = 0;
};

/// A fleet, its services, and how long their servers take to connect.
struct Setup {
    FleetOptions options{};
    std::vector<Duration> takes{};
    bool commands = false;       // of a user
    std::vector<Taken> first{};  // the steps before the exploration
    Duration attempt_limit = 4s;
};

/// A digest with one field left out, of the fleet or of every service.
struct Fields {
    int left_out = -1;
    int next = 0;
    sim::Digest digest{};

    template <class T>
    void operator()(T value) noexcept {
        if (next++ != left_out) digest(value);
    }
    /// Adds a field that the others imply within a few steps. It costs no state there.
    template <class T>
    void also(T value) noexcept {
        digest(value);
    }
};

struct Machine {
    using Service = FleetService<FakeTransport<>, Rule, NoObserver>;

    explicit Machine(const Setup& s)
        : setup{s},
          wires(s.takes.size()),
          dialled_at(s.takes.size()),
          dials(s.takes.size()),
          is_open(s.takes.size()),
          has_answered(s.takes.size()),
          fleet{s.options, Since{&since}} {
        fleet.attach(Waker{driver::WakeHandle::adopt(&clock), Seed{1}});
        for (std::size_t i = 0; i < wires.size(); ++i) {
            ServiceOptions options;
            options.supervisor.core.settle_within = 0s;
            services.push_back(&fleet.add(std::to_string(i), FakeTransport<>{wires[i]},
                                          Rule{s.attempt_limit}, std::move(options)));
        }
        fleet.start();
        advance();
    }
    [[nodiscard]] const detail::ServiceEntry& entry(std::size_t i) const {
        // The base is private, and its fields are what a fleet decides by.
        return (const detail::ServiceEntry&)*services[i];  // NOLINT(*-cstyle-cast)
    }
    [[nodiscard]] const detail::DialScheduler& scheduler() const { return *entry(0).scheduler; }
    [[nodiscard]] bool is_up(std::size_t i) const {
        return services[i]->status().state == LinkState::connected;
    }
    void advance() {
        fleet.advance(now);
        for (std::size_t i = 0; i < wires.size(); ++i) {
            if (dials[i] != wires[i].dials) {
                dials[i] = wires[i].dials;
                dialled_at[i] = now;
                is_open[i] = has_answered[i] = false;
            }
        }
    }

    // ---- steps ---------------------------------------------------------------------------------

    [[nodiscard]] bool is_possible(Event event, std::size_t i) const {
        const bool live = wires[i].live != 0;
        const bool is_command = event == stops || event == starts || event >= unhealthy;
        if (is_command && !setup.commands) return false;
        switch (event) {
            case opens:
                return live && !is_open[i] && elapsed(dialled_at[i], now) >= setup.takes[i];
            case answers:
                return live && is_open[i] && !has_answered[i];
            case turn:
            case late:
                return i == 0 && fleet.deadline() <= now;
            case time:
                return i == 0 && fleet.deadline() > now && fleet.deadline() != never;
            case unreachable:
            case refuses:
                return live && !is_open[i];
            case is_lost:
                return live && is_open[i];
            case unhealthy:
                return live;
            case stops:
                return services[i]->status().state != LinkState::stopped;
            case starts:
                return services[i]->status().state == LinkState::stopped;
            case by_hand:
                return services[i]->status().state == LinkState::cooldown;
        }
        return false;
    }
    void take(Event event, std::size_t i) {
        const auto ends = [&](std::errc why) {
            static_cast<void>(wires[i].link.closed(Failure::from(std::make_error_code(why))));
        };
        switch (event) {
            case opens:
                is_open[i] = true;
                static_cast<void>(wires[i].link.opened());
                break;
            case answers:
                has_answered[i] = true;
                static_cast<void>(wires[i].link.pong());
                break;
            case turn:
                break;
            case late:
                now += 1s;
                break;
            case stops:
                services[i]->stop();
                break;
            case starts:
                services[i]->start();
                break;
            case unhealthy:
                services[i]->report_unhealthy();
                break;
            case time:
                now = after(now, (elapsed(now, fleet.deadline()) + 1s - 1ns) / 1s * 1s);
                break;
            case unreachable:
                ends(std::errc::network_unreachable);
                break;
            case refuses:
                ends(std::errc::connection_refused);
                break;
            case is_lost:
                ends(std::errc::timed_out);
                break;
            case by_hand:
                static_cast<void>(services[i]->reconnect_now());
                break;
        }
        advance();
    }

    // ---- what it decides by --------------------------------------------------------------------

    /// Calls `f` with each field that can change what happens later.
    void each_field(Fields& f) const {
        const auto left = [&](Instant t) {
            return t == never ? -1 : (part::time_left(now, t) + 1s - 1ns) / 1s;
        };
        // A wait that suspect_wait draws ends in the same second as its maximum.
        const auto age = [&](Instant t) { return t == always ? -1 : elapsed(t, now) / 1s; };
        const detail::DialScheduler& d = scheduler();
        f(d.proven_at >= now);
        f.also(left(d.wait_until));
        f.also(d.redial_before == never ? -2 : age(d.redial_before));
        f.also(d.released);
        f(d.rounds);
        f.also(d.suspect || d.released ? age(since) : 0);
        const int first = f.next;
        for (std::size_t i = 0; i < services.size(); ++i) {
            f.next = first;
            each_field_of(i, left, age, f);
        }
        // The orders of the lists.
        for (const detail::ServiceList* list :
             {&d.lanes.fast.dialling, &d.lanes.slow.dialling, &d.held}) {
            std::string names;
            for (const detail::ServiceEntry* e = list->front(); e != nullptr; e = e->next) {
                names += e->name;
            }
            f.also(std::string_view{names});
        }
    }
    template <class Left, class Age>
    void each_field_of(std::size_t i, Left& left, Age& age, Fields& f) const {
        const detail::ServiceEntry& e = entry(i);
        const detail::DialScheduler& d = *e.scheduler;
        const LinkStatus& s = services[i]->status();
        const bool queued = e.phase == detail::ServicePhase::queued;
        f(e.phase);
        f(e.phase == detail::ServicePhase::idle ? 0 : age(e.at));
        f(age(e.asked_at));
        f(queued ? static_cast<std::int64_t>(before_in_queue(e)) : 0);
        f.also(e.phase == detail::ServicePhase::held && d.proven_at >= e.at);
        f.also(e.span == forever ? -1 : e.span / 1s);
        f.also(e.keeps_rank);
        f.also(e.passes);
        f.also(e.is_scout);
        f.also(e.was_held);
        f(e.is_slow);
        f.also(e.awaits_place);
        f(e.was_connected);
        f(left(s.retry_at));
        f.also(detail::NetworkWait::holds(s));
        f(left(after(Core::manual_at(services[i]->core()), 1s)));
        f(left(services[i]->deadline()));
        f.also(sooner(i));
        f(s.state == LinkState::connected ? left(after(s.since, 1s)) : 0);
        f(is_open[i] + 2 * has_answered[i] + 4 * wires[i].live);
        f(wires[i].live != 0 && !is_open[i] ? age(dialled_at[i]) : 0);
    }
    /// Returns how many services are due sooner than this one, which is the order of a turn.
    [[nodiscard]] std::size_t sooner(std::size_t i) const {
        std::size_t count = 0;
        for (const Service* s : services) count += s->deadline() < services[i]->deadline();
        return count;
    }
    /// Returns how many services of both queues asked before this one.
    [[nodiscard]] std::size_t before_in_queue(const detail::ServiceEntry& e) const {
        std::size_t count = 0;
        for (std::size_t i = 0; i < services.size(); ++i) {
            const detail::ServiceEntry& other = entry(i);
            count += other.phase == detail::ServicePhase::queued &&
                     static_cast<std::int32_t>(other.ticket - e.ticket) < 0;
        }
        return count;
    }

    // ---- what must hold ------------------------------------------------------------------------

    void check(sim::Choice& c) const {
        using detail::ServicePhase;
        const detail::DialScheduler& d = scheduler();
        const FleetCounters counters = fleet.counters();
        std::size_t opening = 0;
        std::size_t queued = 0;
        std::size_t up = 0;
        std::size_t connected = 0;
        std::size_t stopped = 0;
        for (std::size_t i = 0; i < services.size(); ++i) {
            const LinkStatus& s = services[i]->status();
            const ServicePhase phase = entry(i).phase;
            opening += wires[i].live != 0 && !is_open[i];
            queued += phase == ServicePhase::queued;
            up += phase == ServicePhase::connected;
            connected += s.state == LinkState::connected;
            stopped += s.state == LinkState::stopped;
            c.require(wires[i].live <= 1, "a service has one connection");
            const bool asks = phase == ServicePhase::queued || phase == ServicePhase::dialling;
            c.require(!asks || s.state == LinkState::connecting, "who is in line is connecting");
            c.require(phase != ServicePhase::connected || s.state == LinkState::connected,
                      "who counts as connected is so");
            // After stop() its connection exists until its end.
            const bool counts = s.state == LinkState::connecting || s.state == LinkState::connected;
            c.require(phase != ServicePhase::idle || wires[i].live == 0 || !counts,
                      "a connection is counted");
            // A service that was told to attempt may still wait for manual_gap.
            const bool attempts = Core::manual_at(services[i]->core()) >= s.retry_at;
            c.require(
                !detail::NetworkWait::holds(s) || d.suspect || attempts || fleet.deadline() <= now,
                "nobody waits for a network that works");
            c.require(!entry(i).is_scout || d.suspect || entry(i).passes,
                      "a scout is one of a suspicion");
        }
        c.require(opening <= setup.options.dials_max + setup.options.slow_dials_max,
                  "the dials are limited");
        c.require(d.lanes.fast.dialling.size() <= setup.options.dials_max,
                  "the fast lane is limited");
        c.require(d.lanes.slow.dialling.size() <= setup.options.slow_dials_max,
                  "the slow lane is limited");
        c.require(queued == counters.in_line, "those in line are counted");
        c.require(queued == d.lanes.fast.queue.size() + d.lanes.slow.queue.size(),
                  "the queues hold those in line");
        c.require(up == d.up, "the connected are counted");
        c.require(connected == counters.totals[static_cast<std::size_t>(LinkState::connected)],
                  "the states are counted");
        c.require(connected + stopped == services.size() || fleet.deadline() != never,
                  "something is due");
        c.require(!d.suspect || d.wait_until != never, "a suspicion ends");
        if (d.suspect) c.reach("suspect");
        if (d.suspect && d.rounds > 1) c.reach("second scout");
        if (d.lanes.slow.dialling.size() != 0) c.reach("slow dial");
        if (d.lanes.slow.queue.size() != 0) c.reach("waits for the slow lane");
        if (d.held.size() != 0) c.reach("held");
    }
    /// Returns whether all services are up whose servers can connect.
    [[nodiscard]] bool settled() const {
        for (std::size_t i = 0; i < services.size(); ++i) {
            const bool wanted = services[i]->status().state != LinkState::stopped;
            if (wanted && setup.takes[i] != forever && !is_up(i)) return false;
        }
        return true;
    }

    const Setup& setup;
    std::vector<Wire> wires;  // outlive the fleet
    std::vector<Instant> dialled_at;
    std::vector<int> dials;
    std::vector<bool> is_open;
    std::vector<bool> has_answered;
    Time clock{};
    Instant& now = clock.now;
    Instant since = always;
    Fleet<Since> fleet;
    std::vector<Service*> services;
};

/// The steps of a machine, and what they led to.
struct FleetModel {
    explicit FleetModel(const Setup& s, int field = -1) : setup{&s}, left_out{field} {
        Machine machine{s};
        for (const Taken& t : s.first) {
            path.push_back(static_cast<char>(t.event * count() + t.service));
            machine.take(t.event, t.service);
        }
        look(machine);
    }

    [[nodiscard]] std::size_t count() const { return setup->takes.size(); }
    void step(sim::Choice& c) {
        const auto event = static_cast<Event>(c.choose(event_names));
        const bool is_global = event == turn || event == time || event == late;
        const std::size_t i = is_global ? 0 : c.choose("service", count());
        if (event >= late) c.unfair();
        const std::size_t taken = event * count() + i;
        if ((possible >> taken & 1U) == 0) return c.impossible();
        path.push_back(static_cast<char>(taken));
        Machine machine{*setup};
        for (const char t : path) {
            const auto n = static_cast<std::size_t>(t);
            machine.take(static_cast<Event>(n / count()), n % count());
        }
        machine.check(c);
        look(machine);
    }
    void look(const Machine& machine) {
        possible = 0;
        for (std::size_t n = 0; n < event_names.size() * count(); ++n) {
            const bool it = machine.is_possible(static_cast<Event>(n / count()), n % count());
            possible |= static_cast<std::uint64_t>(it) << n;
        }
        is_settled = machine.settled();
        Fields given{.left_out = left_out};
        machine.each_field(given);
        fields = given.next;
        value = given.digest.value();
    }
    void digest(sim::Digest& d) const { d(value); }
    [[nodiscard]] bool settled() const { return is_settled; }
    [[nodiscard]] std::size_t bytes() const { return path.capacity(); }

    const Setup* setup;
    std::string path{};
    std::uint64_t possible = 0;
    std::uint64_t value = 0;
    bool is_settled = false;
    int left_out;
    int fields = 0;
};

const FleetOptions small{.dials_max = 1,
                         .slow_after = 1s,
                         .slow_dials_max = 1,
                         .hold = 1s,
                         .suspects_min = 2,
                         .suspect_wait = 1s,
                         .suspect_wait_max = 1s,
                         .suspect_rounds_max = 2};
/// A server that answers at once, one that needs longer than the fast lane permits, and one that
/// never does.
const Setup lanes{[] {
                      FleetOptions o = small;
                      o.hold = 0s;  // no failure is the network's
                      return o;
                  }(),
                  {0s, 2s, forever}};
const Setup network{[] {
                        FleetOptions o = small;
                        o.slow_after = 2s;
                        return o;
                    }(),
                    {0s, 2s, forever}};
/// The network, from the moment at which all services wait for it.
const Setup outage{
    network.options,
    network.takes,
    false,
    {{late}, {opens, 0}, {late}, {unreachable, 1}, {is_lost, 0}, {unreachable, 2}, {time}, {turn}}};
const Setup commands{small, {0s, 2s}, true};

/// Explores to a depth, or to BELAY_DEPTH.
sim::ExhaustReport explored(const Setup& setup, std::uint32_t depth) {
    depth = static_cast<std::uint32_t>(from_environment("BELAY_DEPTH", depth));
    return sim::exhaust({.depth = depth, .liveness = sim::Liveness::fair_schedule},
                        FleetModel{setup});
}

/// Returns the fields whose absence is not detected.
std::string undetected_fields(std::uint32_t depth) {
    // Of each field, the setup that detects its absence in the fewest steps.
    const Setup* const detects[] = {&commands, &commands, &commands, &commands, &lanes,
                                    &network,  &lanes,    &lanes,    &commands, &commands,
                                    &commands, &lanes,    &lanes,    &outage};
    REQUIRE(static_cast<int>(std::size(detects)) == FleetModel{lanes}.fields);
    std::string out;
    for (int i = 0; const Setup* const setup : detects) {
        const sim::ExhaustOptions options{
            .depth = depth, .recheck_percent = 100, .recheck_max = 10, .print = false};
        if (sim::exhaust(options, FleetModel{*setup, i})) out += std::to_string(i) + ' ';
        ++i;
    }
    return out;
}

TEST_CASE("Fleet: every sequence of dials and failures keeps the lanes",
          "[fleet][exploration][sim]") {
    const sim::ExhaustReport report = explored(lanes, 9);
    CHECK(report);
    CHECK(report.marks.contains("waits for the slow lane"));
}

TEST_CASE("Fleet: every sequence of dials and failures keeps the decision about the network",
          "[fleet][exploration][sim]") {
    const sim::ExhaustReport report = explored(network, 8);
    CHECK(report);
    CHECK(report.marks.contains("suspect"));
    CHECK(report.marks.contains("second scout"));
}

TEST_CASE("Fleet: every sequence of commands keeps the lanes and the decision",
          "[fleet][exploration][sim]") {
    const sim::ExhaustReport report = explored(commands, 6);
    CHECK(report);
    CHECK(report.marks.contains("slow dial"));
}

TEST_CASE("Fleet: a field that is left out of its digest is detected",
          "[fleet][exploration][sim]") {
    CHECK(undetected_fields(static_cast<std::uint32_t>(from_environment("BELAY_DEPTH", 7))) == "");
}

}  // namespace fleet_exploration
