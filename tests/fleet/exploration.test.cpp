// SPDX-License-Identifier: MIT
// Goal: after every sequence of events, a fleet keeps its limits, its lists agree with its services,
// and each service whose server can connect still can. Method: sim::exhaust over whole fleets. A
// fleet cannot be copied, so the model stores the steps and makes them again. BELAY_DEPTH is the
// depth.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <belay/fleet/fleet.hpp>
#include <belay/sim/exhaust.hpp>

#include "support/catch.hpp"
#include "support/link/fake_transport.hpp"
#include "support/seeds.hpp"
#include "support/sim/left_out.hpp"

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

/// Reads the time of the last attempt by hand, in the past or in the future.
struct Core : timeline::SupervisorCore<detail::FleetPolicy<Rule>> {
    using Base = timeline::SupervisorCore<detail::FleetPolicy<Rule>>;
    static Instant manual_at(const Base& core) { return core.*(&Core::manual_at_); }
};

/// The driver of a machine, with a time.
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

/// Stores the begin of the last suspicion.
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

/// A step, of one service or of the fleet.
struct Taken {
    Event event;
    std::size_t service = 0;

    friend bool operator==(const Taken&, const Taken&) = default;
};

/// A fleet, its services, and the times of their servers to connect.
struct Setup {
    FleetOptions options{};
    std::vector<Duration> takes{};
    bool commands = false;  // commands of a user
    // The steps before the exploration. If there are several, its first step chooses.
    std::vector<std::vector<Taken>> starts{{}};
    Duration attempt_limit = 4s;
};

struct Machine {
    using Service = FleetService<FakeTransport<>, Rule, NoObserver>;

    explicit Machine(const Setup& s)
        : setup{s},
          transports(s.takes.size()),
          dialled_at(s.takes.size()),
          dials(s.takes.size()),
          is_open(s.takes.size()),
          has_answered(s.takes.size()),
          fleet{s.options, Since{&since}} {
        fleet.attach(Waker{driver::WakeHandle::adopt(&clock), Seed{1}});
        for (std::size_t i = 0; i < transports.size(); ++i) {
            ServiceOptions options;
            options.supervisor.core.spread_within = 0s;
            services.push_back(&fleet.add(std::to_string(i), FakeTransport<>{transports[i]},
                                          Rule{s.attempt_limit}, std::move(options)));
        }
        fleet.start();
        advance();
    }
    [[nodiscard]] const detail::ServiceEntry& entry(std::size_t i) const {
        // The base is private. Its fields decide the behaviour of a fleet.
        return (const detail::ServiceEntry&)*services[i];  // NOLINT(*-cstyle-cast)
    }
    [[nodiscard]] const detail::DialScheduler& scheduler() const { return *entry(0).scheduler; }
    [[nodiscard]] bool is_up(std::size_t i) const {
        return services[i]->status().state == LinkState::connected;
    }
    void advance() {
        fleet.advance(now);
        for (std::size_t i = 0; i < transports.size(); ++i) {
            if (dials[i] != transports[i].dials) {
                dials[i] = transports[i].dials;
                dialled_at[i] = now;
                is_open[i] = has_answered[i] = false;
            }
        }
    }

    // ---- steps ---------------------------------------------------------------------------------

    [[nodiscard]] bool is_possible(Event event, std::size_t i) const {
        const bool live = transports[i].live != 0;
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
            static_cast<void>(transports[i].link.closed(Failure::from(std::make_error_code(why))));
        };
        switch (event) {
            case opens:
                is_open[i] = true;
                static_cast<void>(transports[i].link.opened());
                break;
            case answers:
                has_answered[i] = true;
                static_cast<void>(transports[i].link.pong());
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

    // ---- the fields that decide -----------------------------------------------------------------

    /// Calls `f` with each field that can change what happens later.
    void each_field(NamedFields& f) const {
        const auto left = [&](Instant t) {
            return t == never ? -1 : (part::time_left(now, t) + 1s - 1ns) / 1s;
        };
        // A wait that suspect_wait draws ends in the same second as its maximum.
        const auto age = [&](Instant t) { return t == always ? -1 : elapsed(t, now) / 1s; };
        const detail::DialScheduler& d = scheduler();
        f("proven", d.proven_at >= now);
        f("wait_until", left(d.wait_until));
        f("redial_before", d.redial_before == never ? -2 : age(d.redial_before));
        f("released", d.released);
        f("rounds", d.rounds);
        f("since", d.suspect || d.released ? age(since) : 0);
        for (std::size_t i = 0; i < services.size(); ++i) each_field_of(i, left, age, f);
        // The orders of the lists.
        for (const detail::ServiceList* list :
             {&d.groups.fast.dialling, &d.groups.slow.dialling, &d.held}) {
            std::string names;
            for (const detail::ServiceEntry* e = list->front(); e != nullptr; e = e->next) {
                names += e->name;
            }
            f("list", std::string_view{names});
        }
    }
    template <class Left, class Age>
    void each_field_of(std::size_t i, Left& left, Age& age, NamedFields& f) const {
        const detail::ServiceEntry& e = entry(i);
        const detail::DialScheduler& d = *e.scheduler;
        const LinkStatus& s = services[i]->status();
        const bool queued = e.phase == detail::ServicePhase::queued;
        f("phase", e.phase);
        f("at", e.phase == detail::ServicePhase::idle ? 0 : age(e.at));
        f("asked_at", age(e.asked_at));
        f("ticket", queued ? static_cast<std::int64_t>(before_in_queue(e)) : 0);
        f("held after the proof", e.phase == detail::ServicePhase::held && d.proven_at >= e.at);
        const bool uses_span = queued || e.was_held;
        f("span", !uses_span ? 0 : e.span == forever ? -1 : e.span / 1s);
        f("keeps_rank", e.keeps_rank);
        f("passes", e.passes);
        f("is_scout", e.is_scout);
        f("was_held", e.was_held);
        f("is_slow", e.is_slow);
        f("awaits_place", e.awaits_place);
        f("was_connected", e.was_connected);
        f("retry_at", left(s.retry_at));
        f("waits for the network", detail::NetworkWait::holds(s));
        f("manual_at", left(after(Core::manual_at(services[i]->core()), 1s)));
        f("deadline", left(services[i]->deadline()));
        f("due sooner", sooner(i));
        f("stable at", s.state == LinkState::connected ? left(after(s.since, 1s)) : 0);
        f("transport", is_open[i] + 2 * has_answered[i] + 4 * transports[i].live);
        f("dialled_at", transports[i].live != 0 && !is_open[i] ? age(dialled_at[i]) : 0);
    }
    /// Returns the number of services that are due sooner than this one, which is the order of a
    /// turn.
    [[nodiscard]] std::size_t sooner(std::size_t i) const {
        std::size_t count = 0;
        for (const Service* s : services) count += s->deadline() < services[i]->deadline();
        return count;
    }
    /// Returns the number of services in both queues with an earlier request.
    [[nodiscard]] std::size_t before_in_queue(const detail::ServiceEntry& e) const {
        std::size_t count = 0;
        for (std::size_t i = 0; i < services.size(); ++i) {
            const detail::ServiceEntry& other = entry(i);
            count += other.phase == detail::ServicePhase::queued &&
                     static_cast<std::int32_t>(other.ticket - e.ticket) < 0;
        }
        return count;
    }

    // ---- the contract ---------------------------------------------------------------------------

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
            opening += transports[i].live != 0 && !is_open[i];
            queued += phase == ServicePhase::queued;
            up += phase == ServicePhase::connected;
            connected += s.state == LinkState::connected;
            stopped += s.state == LinkState::stopped;
            c.require(transports[i].live <= 1, "a service has one connection");
            const bool asks = phase == ServicePhase::queued || phase == ServicePhase::dialling;
            c.require(!asks || s.state == LinkState::connecting, "who is in line is connecting");
            c.require(phase != ServicePhase::connected || s.state == LinkState::connected,
                      "who counts as connected is so");
            // After stop() the connection exists until its end.
            const bool counts = s.state == LinkState::connecting || s.state == LinkState::connected;
            c.require(phase != ServicePhase::idle || transports[i].live == 0 || !counts,
                      "a connection is counted");
            // A service with a requested attempt may still wait for SupervisorCore::manual_gap.
            const bool attempts = Core::manual_at(services[i]->core()) >= s.retry_at;
            c.require(
                !detail::NetworkWait::holds(s) || d.suspect || attempts || fleet.deadline() <= now,
                "nobody waits for a network that works");
            c.require(!entry(i).is_scout || d.suspect || entry(i).passes,
                      "a scout is one of a suspicion");
        }
        c.require(opening <= setup.options.dials_max + setup.options.slow_dials_max,
                  "the dials are limited");
        c.require(d.groups.fast.dialling.size() <= setup.options.dials_max,
                  "the fast group is limited");
        c.require(d.groups.slow.dialling.size() <= setup.options.slow_dials_max,
                  "the slow group is limited");
        c.require(queued == counters.waiting_to_dial, "those in line are counted");
        c.require(queued == d.groups.fast.queue.size() + d.groups.slow.queue.size(),
                  "the queues hold those in line");
        c.require(up == d.up, "the connected are counted");
        c.require(connected == counters.totals[static_cast<std::size_t>(LinkState::connected)],
                  "the states are counted");
        c.require(connected + stopped == services.size() || fleet.deadline() != never,
                  "something is due");
        c.require(!d.suspect || d.wait_until != never, "a suspicion ends");
        if (d.suspect) c.reach("suspect");
        if (d.suspect && d.rounds > 1) c.reach("second scout");
        if (d.groups.slow.dialling.size() != 0) c.reach("slow dial");
        if (d.groups.slow.queue.size() != 0) c.reach("waits for the slow group");
        if (d.held.size() != 0) c.reach("held");
    }
    /// Returns whether all services are connected whose servers can connect.
    [[nodiscard]] bool settled() const {
        for (std::size_t i = 0; i < services.size(); ++i) {
            const bool wanted = services[i]->status().state != LinkState::stopped;
            if (wanted && setup.takes[i] != forever && !is_up(i)) return false;
        }
        return true;
    }

    const Setup& setup;
    std::vector<TransportState> transports;  // declared before the fleet, which they must outlive
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

/// The fields that the others imply in sequences as short as those of the tests, which check that.
/// A digest without them would have as many states.
constexpr std::array<std::string_view, 8> implied{
    "wait_until", "redial_before", "released", "held after the proof",
    "span",       "is_scout",      "was_held", "waits for the network"};
/// A field of this kind that is needed without those.
constexpr std::array<std::string_view, 1> implied_by_implied{"since"};
/// All fields, by the remaining ones if some are left out.
struct Implications {
    std::map<std::uint64_t, std::uint64_t> without_implied{};
    std::map<std::uint64_t, std::uint64_t> without_implied_by_implied{};
};

/// The steps of a machine, and their results.
struct FleetModel {
    explicit FleetModel(const Setup& s, FieldNames without = {}, Implications* known = nullptr)
        : setup{&s}, left_out{without}, implications{known} {
        if (s.starts.size() == 1) static_cast<void>(start(0));
    }

    [[nodiscard]] std::size_t count() const { return setup->takes.size(); }
    [[nodiscard]] bool start(std::size_t which) {
        Machine machine{*setup};
        for (const Taken& t : setup->starts[which]) {
            path.push_back(static_cast<char>(t.event * count() + t.service));
            machine.take(t.event, t.service);
        }
        return is_started = look(machine);
    }
    void step(sim::Choice& c) {
        if (!is_started) {
            static_cast<void>(start(c.choose("start", setup->starts.size())));
            return;
        }
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
        c.require(look(machine), "the implied fields follow from the others");
    }
    /// Returns whether the implied fields are those of each earlier state with the same other
    /// fields.
    bool look(const Machine& machine) {
        possible = 0;
        for (std::size_t n = 0; n < event_names.size() * count(); ++n) {
            const bool it = machine.is_possible(static_cast<Event>(n / count()), n % count());
            possible |= static_cast<std::uint64_t>(it) << n;
        }
        is_settled = machine.settled();
        value = digest_of(machine, left_out);
        if (implications == nullptr) return true;
        const auto follow = [&](auto& known, FieldNames without) {
            return known.try_emplace(digest_of(machine, without), value).first->second == value;
        };
        return follow(implications->without_implied, implied) &&
               follow(implications->without_implied_by_implied, implied_by_implied);
    }
    static std::uint64_t digest_of(const Machine& machine, FieldNames without) {
        sim::Digest d;
        NamedFields fields{d, without};
        machine.each_field(fields);
        return d.value();
    }
    void digest(sim::Digest& d) const { d(value); }
    [[nodiscard]] bool settled() const { return is_settled; }
    [[nodiscard]] std::size_t bytes() const { return path.capacity(); }

    const Setup* setup;
    std::string path{};
    std::uint64_t possible = 0;
    std::uint64_t value = 0;
    bool is_settled = false;
    FieldNames left_out;
    Implications* implications;
    bool is_started = false;
};

const FleetOptions small{.dials_max = 1,
                         .slow_after = 1s,
                         .slow_dials_max = 1,
                         .hold = 1s,
                         .suspects_min = 2,
                         .suspect_wait = 1s,
                         .suspect_wait_max = 1s,
                         .suspect_rounds_max = 2};
/// A server that answers at once, one that needs longer than the fast group permits, and one that
/// never answers.
const Setup groups{[] {
                       FleetOptions o = small;
                       o.hold = 0s;  // no failure is one of the network
                       return o;
                   }(),
                   {0s, 2s, forever}};
const Setup network{[] {
                        FleetOptions o = small;
                        o.slow_after = 2s;
                        return o;
                    }(),
                    {0s, 2s, forever}};
const Setup commands{small, {0s, 2s}, true};

/// Explores to a depth, or to BELAY_DEPTH.
sim::ExhaustReport explored(const Setup& setup, std::uint32_t depth) {
    const auto wanted = static_cast<std::uint32_t>(from_environment("BELAY_DEPTH", depth));
    Implications implications;
    return sim::exhaust({.depth = wanted, .liveness = sim::Liveness::fair_schedule},
                        FleetModel{setup, {}, wanted <= depth ? &implications : nullptr});
}

/// The steps until all services wait for the network, and further ones.
std::vector<Taken> outage(std::vector<Taken> more = {}) {
    std::vector<Taken> steps{{late},       {opens, 0},       {late}, {unreachable, 1},
                             {is_lost, 0}, {unreachable, 2}, {time}, {turn}};
    steps.insert(steps.end(), more.begin(), more.end());
    return steps;
}
// Two starts whose states differ only in some of the fields.
const Setup with_commands{network.options, network.takes, true, {outage()}};
const Setup rounds_differ{network.options,
                          network.takes,
                          true,
                          {outage({{time}, {by_hand, 1}, {by_hand, 2}, {opens, 0}}),
                           outage({{by_hand, 0}, {turn}, {opens, 0}, {by_hand, 2}})}};
const Setup passes_differs{network.options,
                           network.takes,
                           true,
                           {outage({{time}, {late}, {by_hand, 1}, {refuses, 0}}),
                            outage({{by_hand, 0}, {by_hand, 1}, {by_hand, 2}, {refuses, 0}})}};
const Setup keeps_rank_differs{
    small,
    {0s, 2s, forever},
    true,
    {{{late}, {late}, {refuses, 1}, {stops, 1}}, {{late}, {late}, {turn}, {stops, 1}}}};
const Setup awaits_place_differs{
    small,
    {0s, 2s},
    true,
    {{{late}, {late}, {opens, 0}, {stops, 0}, {starts, 0}, {late}, {turn}, {stops, 0}},
     {{late},
      {opens, 0},
      {unhealthy, 0},
      {time},
      {unreachable, 1},
      {by_hand, 1},
      {stops, 0},
      {time}}}};
const Setup due_sooner_differs{network.options,
                               network.takes,
                               false,
                               {{{turn},
                                 {unreachable, 0},
                                 {turn},
                                 {unreachable, 1},
                                 {turn},
                                 {unreachable, 2},
                                 {time},
                                 {late},
                                 {turn},
                                 {late}},
                                {{turn},
                                 {unreachable, 0},
                                 {turn},
                                 {unreachable, 1},
                                 {late},
                                 {unreachable, 2},
                                 {time},
                                 {turn},
                                 {late}}}};

/// The fields whose absence is detected, with a setup that needs few steps.
struct Detected {
    std::string_view field;
    const Setup* setup;
    std::uint32_t depth;
};
const Detected detected[] = {{"proven", &commands, 6},
                             {"rounds", &rounds_differ, 4},
                             {"phase", &commands, 3},
                             {"at", &network, 6},
                             {"asked_at", &groups, 6},
                             {"ticket", &network, 7},
                             {"keeps_rank", &keeps_rank_differs, 4},
                             {"passes", &passes_differs, 3},
                             {"is_slow", &commands, 4},
                             {"awaits_place", &awaits_place_differs, 2},
                             {"was_connected", &groups, 7},
                             {"retry_at", &commands, 5},
                             {"manual_at", &with_commands, 4},
                             {"deadline", &commands, 5},
                             {"due sooner", &due_sooner_differs, 2},
                             {"stable at", &network, 5},
                             {"transport", &network, 5},
                             {"dialled_at", &network, 5}};
/// The order of the held failures is that of their times. For failures of one instant the order has
/// no effect, so its absence cannot be detected.
constexpr std::string_view order_of_ties = "list";

/// Leaves out the implied fields, too, because they may imply this one.
bool is_detected(std::string_view field, const Setup& setup, std::uint32_t depth) {
    std::vector<std::string_view> left_out{implied.begin(), implied.end()};
    left_out.push_back(field);
    const sim::ExhaustOptions options{
        .depth = depth, .recheck_percent = 100, .recheck_max = 10, .print = false};
    return finds_difference(sim::exhaust(options, FleetModel{setup, left_out}));
}

TEST_CASE("Fleet: every sequence of dials and failures keeps the groups",
          "[fleet][exploration][sim]") {
    const sim::ExhaustReport report = explored(groups, 9);
    CHECK(report);
    CHECK(report.marks.contains("waits for the slow group"));
}

TEST_CASE("Fleet: every sequence of dials and failures keeps the decision about the network",
          "[fleet][exploration][sim]") {
    const sim::ExhaustReport report = explored(network, 8);
    CHECK(report);
    CHECK(report.marks.contains("suspect"));
    CHECK(report.marks.contains("second scout"));
}

TEST_CASE("Fleet: every sequence of commands keeps the groups and the decision",
          "[fleet][exploration][sim]") {
    const sim::ExhaustReport report = explored(commands, 6);
    CHECK(report);
    CHECK(report.marks.contains("slow dial"));
}

TEST_CASE("Fleet: a field that is left out of its digest is detected",
          "[fleet][exploration][sim]") {
    std::set<std::string> names;
    {
        sim::Digest d;
        NamedFields fields{d, {}, &names};
        Machine{groups}.each_field(fields);
    }
    for (const Detected& it : detected) {
        INFO(it.field);
        CHECK(names.erase(std::string{it.field}) == 1);
        CHECK(is_detected(it.field, *it.setup, it.depth));
        // The setup detects this field.
        const bool is_special = it.setup->starts != Setup{}.starts;
        if (is_special) CHECK_FALSE(is_detected("", *it.setup, it.depth));
    }
    CHECK_FALSE(is_detected("", network, 6));
    CHECK_FALSE(is_detected(order_of_ties, network, 6));
    CHECK(names.erase(std::string{order_of_ties}) == 1);
    for (const std::string_view field : implied) CHECK(names.erase(std::string{field}) == 1);
    for (const std::string_view field : implied_by_implied)
        CHECK(names.erase(std::string{field}) == 1);
    CHECK(names.empty());
}

}  // namespace fleet_exploration
