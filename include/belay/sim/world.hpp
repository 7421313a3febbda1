// SPDX-License-Identifier: MIT
/// \file belay/sim/world.hpp
/// sim::World: simulates hosts, a network and time; the same seed gives the same history.
#pragma once

#include <concepts>     // std::integral
#include <memory>       // std::unique_ptr
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::forward
#include <vector>       // std::vector

#include <belay/core/order.hpp>
#include <belay/sim/detail/diagram.hpp>
#include <belay/sim/detail/fault_effects.hpp>
#include <belay/sim/detail/properties.hpp>
#include <belay/sim/detail/stage.hpp>
#include <belay/sim/network.hpp>
#include <belay/sim/tcp.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// The options of a World, in addition to its seed.
struct WorldOptions {
    /// Lets a machine run too early, in one of `n` gaps between two instants on average; 0: never.
    /// A correct machine is not affected: the history stays the same.
    std::uint32_t extra_turns_one_in = 0;
    /// The order of the events of one instant. In a shuffled world, the functions of one host and
    /// the messages from one host to another stay in their order. The rest is in an order that the
    /// seed draws for each instant, and so are machines with equal deadlines.
    Order order = Order::fifo;
    /// Plays this scenario from the first run on, with the hosts that are there.
    std::optional<Scenario> play{};
    /// Draws a scenario from the world's seed at the first run, unless the test has played one.
    std::optional<ScenarioOptions> draw{};
    /// The world stops with a violation after so many events.
    std::uint64_t events_max = ~std::uint64_t{0};
    /// The world stops with a violation at this time since its start.
    Duration time_max = forever;
    /// The number of lines of the history to keep for World::diagram.
    std::uint32_t record_lines = 0;
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
    /// `on_draw` is for an exploration: it is called with the hosts before a scenario is drawn.
    explicit World(Seed seed, WorldOptions options = {},
                   decltype(detail::Fabric::on_draw) on_draw = {})
        : engine_{seed, options.extra_turns_one_in},
          fabric_{engine_, detail::Choices{seed}},
          network_{fabric_},
          bits_{Seed{detail::mix(seed.value, detail::hash_of("world"))}},
          options_{std::move(options)} {
        if (options_.order == Order::shuffled) engine_.shuffle();
        engine_.record(options_.record_lines);
        fabric_.on_draw = std::move(on_draw);
        attention_ = needs_attention();
    }
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
        while (!kept_.empty()) kept_.pop_back();
    }

    // ---- hosts ---------------------------------------------------------------------------------

    /// Makes a host. `factory(Host&)` makes its process, now and at every restart. Its result
    /// (anything, a std::unique_ptr, or void) belongs to the host, and a kill destroys it.
    /// Pre: the name is new.   Throws: what `factory` throws; the host is dead then.
    template <class F>
    Host& host(std::string_view name, F&& factory) {
        BELAY_PRECONDITION(fabric_.find(name) == nullptr, "World::host: the name must be new");
        const auto index = static_cast<std::uint32_t>(hosts_.size());
        hosts_.emplace_back(new Host(fabric_, name, index, std::forward<F>(factory)));
        Host& h = *hosts_.back();
        fabric_.stations.push_back(&h.station_);
        change(h, &Host::start);
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
    void kill(Host& h) { change(h, &Host::kill); }
    /// Starts the process anew on the same disk, and kills the old one first if it is still alive.
    /// If it has ended itself, the disk loses nothing.
    void restart(Host& h) { change(h, &Host::restart); }
    /// Freezes the process, as SIGSTOP does. None of its code runs, but its kernel still completes
    /// connections and keeps what arrives.
    void pause(Host& h) { change(h, &Host::pause); }
    /// Lets a frozen process continue: first it reads what has arrived, and then its timers run.
    void resume(Host& h) { change(h, &Host::resume); }

    /// Returns the network between the hosts.
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
    /// Plays a scenario: its faults begin and end at their times, in addition to those of the
    /// scenarios before.   Pre: check(scenario) is empty.
    void play(const Scenario& scenario) {
        options_.draw.reset();
        BELAY_PRECONDITION(check(scenario).empty(),
                           "World::play: a fault names a host that is not there, the same host "
                           "twice or a time that is over; World::check gives the reason");
        for (const Scenario::Step& step : scenario.steps()) {
            detail::PlannedStep& planned = stage_.plan(step);
            if (step.message) {
                watch_messages();
            } else {
                engine_.call_at(belay::after(Instant{}, step.from), nullptr,
                                [this, &planned] { begin(planned); });
            }
        }
        stage_.take_times(scenario);
        if (const auto& clocks = scenario.clocks()) {
            engine_.clock_start = {clocks->wall, clocks->uptime};
        }
        if (const std::optional<Duration> time = scenario.heals()) {
            engine_.call_at(belay::after(Instant{}, *time), nullptr, [this] { heal(); });
        }
    }
    /// Returns the reason why this world cannot play a scenario now; an empty text if it can.
    [[nodiscard]] std::string check(const Scenario& scenario) const {
        for (const Scenario::Step& step : scenario.steps()) {
            std::string reason = check(step, scenario.heals());
            if (!reason.empty()) return detail::to_cpp(step) + ": " + reason;
        }
        if (scenario.heals() && belay::after(Instant{}, *scenario.heals()) < now()) {
            return ".heal_at(" + detail::to_cpp(*scenario.heals()) + "): the time is over";
        }
        if (scenario.clocks() && engine_.events() != 0) {
            return ".start_clocks: the world has started";
        }
        return {};
    }
    /// Sets the function that names the kind of a message, `f(const Bytes&) -> std::string`, for
    /// Scenario::when.
    template <class F>
    void name_messages(F&& f) {
        stage_.name_messages(std::forward<F>(f));
    }
    /// Ends every fault, and lets the world recover.
    ///
    /// Partitions, black holes, the latencies and bandwidths of faults, refusals, slow readers,
    /// unknown names, Network::accept_then_close, disks that refuse or are full, lacks of
    /// descriptors and Network::cut_one_in end. Frozen processes continue. Dead processes are
    /// started, also those that the test has killed, but none that has ended itself. Faults that
    /// have not begun never will. Lost data stays lost, and a wall clock stays wrong.
    void heal() {
        engine_.note(detail::Mark::heal, detail::no_host);
        stage_.heal(now(), detail::work_of(fabric_, hosts_));
        fabric_.choices.heal();
        fabric_.on_send.reset();
        network_.cut_one_in(0);
        network_.heal_all();
        change_links();
        for (const std::unique_ptr<Host>& h : hosts_) {
            network_.slow_reader(*h, 0);
            h->mend();
            change(*h, &Host::resume);
            change(*h, &Host::start);
        }
    }
    /// Returns a number from 0 to `n` - 1: the choice of this world's seed. The n-th choice of a
    /// tag does not depend on the choices of other tags. Host::choose is for code of a host.
    /// Pre: n > 0.
    [[nodiscard]] std::uint64_t choose(std::string_view tag, std::uint64_t n) {
        return fabric_.choices.choose(0, tag, n);
    }
    /// Returns true with a probability of `percent`.
    [[nodiscard]] bool chance(std::string_view tag, std::uint32_t percent) {
        return choose(tag, 100) < percent;
    }
    /// Makes an object that lives as long as the world: it is destroyed after the hosts. Processes
    /// may refer to it, and an exploration's body may end before they do.
    template <class T, class... A>
    T& make(A&&... arguments) {
        auto* const made = new T(std::forward<A>(arguments)...);
        kept_.emplace_back(made, [](void* p) { delete static_cast<T*>(p); });
        return *made;
    }
    /// Returns a generator for the script. The world itself does not draw from it.
    [[nodiscard]] Random& bits() noexcept { return bits_; }

    // ---- running -------------------------------------------------------------------------------

    /// Runs for exactly `d`; below 0 it counts as 0.   Pre: not called from inside the world.
    void run_for(Duration d) {
        static_cast<void>(run_until([] { return false; }, d));
    }
    /// Runs until `done()` holds, which is checked after every event, but no longer than `limit`.
    /// A limit below 0 counts as 0.   Returns: whether it holds.
    template <class F>
    [[nodiscard]] bool run_until(F&& done, Duration limit) {
        const Instant end = belay::after(engine_.now(), belay::detail::larger(limit, Duration{}));
        while (!done()) {
            if (step(end)) continue;
            engine_.move_to(end);
            return done();
        }
        return true;
    }
    /// Runs until no event is left, but no longer than `limit`; below 0 it counts as 0.
    /// Returns: whether no event is left; the time is then that of the last event.
    [[nodiscard]] bool run_until_idle(Duration limit) {
        const Instant end = belay::after(engine_.now(), belay::detail::larger(limit, Duration{}));
        while (step(end)) {
        }
        if (engine_.idle()) return true;
        engine_.move_to(end);
        return false;
    }

    // ---- properties ----------------------------------------------------------------------------

    // A violation stops the world: time passes, and nothing happens any more.

    /// Requires that `holds()` is true after every event. It returns a bool, or a std::string that
    /// is empty if the property holds, and otherwise gives the reason.
    template <class F>
    void always(std::string_view name, F&& holds) {
        detail::require_finding<F>();
        properties_.always(detail::quoted("always", name), true, std::forward<F>(holds));
        attention_ = true;
    }
    /// Requires that `happens()` is false after every event.
    template <class F>
    void never(std::string_view name, F&& happens) {
        detail::require_bool<F>();
        properties_.always(detail::quoted("never", name), false, std::forward<F>(happens));
        attention_ = true;
    }
    /// Requires that `holds()` becomes true within a time since heal(), and runs until then.
    ///
    /// Pre: heal() was called.   Returns: whether it became true.
    template <class F>
    [[nodiscard]] bool eventually(std::string_view name, Duration within, F&& holds) {
        detail::require_function<F>();
        BELAY_PRECONDITION(stage_.healed_at().has_value(),
                           "World::eventually: call heal() before, which ends the faults");
        const Instant end = belay::after(stage_.healed_at().value_or(now()), within);
        const bool held = run_until(holds, elapsed(now(), end)) && now() <= end;
        return require(detail::quoted("eventually", name), held, [&] {
            return "not within " + detail::to_cpp(within) + " after the faults ended at " +
                   detail::Diagram::seconds(stage_.healed_at().value_or(now()));
        });
    }
    /// Requires the same under the name "within", with the time.
    template <class F>
    [[nodiscard]] bool eventually(Duration within, F&& holds) {
        return eventually("within " + detail::to_cpp(within), within, std::forward<F>(holds));
    }
    /// Requires that a finding holds now: a bool, or a text that is empty if it holds.
    /// Returns: whether it holds.
    template <detail::FindingLike Finding>
    bool require(std::string_view name, Finding finding) {
        std::string details;
        const bool held = detail::holds(std::move(finding), details);
        return require(detail::quoted("require", name), held, [&] { return details; });
    }
    /// Declares that `condition` should be true in one world of an exploration at least.
    void sometimes(std::string_view name, bool condition) { properties_.mark(name, condition); }
    /// Declares a mark that one world of an exploration at least must reach.
    void reachable(std::string_view name) { properties_.mark(name, false); }
    /// Reaches a mark.
    void reach(std::string_view name) { properties_.mark(name, true); }

    /// Returns the first violation of a property; nothing if there was none.
    [[nodiscard]] const std::optional<Violation>& violation() const noexcept {
        return properties_.violation();
    }
    /// Returns the marks, and whether this world has reached them.
    [[nodiscard]] const std::map<std::string, bool, std::less<>>& marks() const noexcept {
        return properties_.marks();
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the last lines of the history as a sequence diagram, and those around each fault: at
    /// most `lines`, and WorldOptions::record_lines. A line has the number of those that are left
    /// out. One line stands for a row of pings and functions. A violation is after the last line.
    [[nodiscard]] std::string diagram(std::size_t lines = ~std::size_t{0}) const {
        const detail::Diagram diagram{host_names(), stage_.played()};
        return diagram.print(engine_.recorder().records(), lines);
    }
    /// Returns the last lines of the history as text, each with the number of its event.
    [[nodiscard]] std::string text(std::size_t lines = ~std::size_t{0}) const {
        const detail::Diagram diagram{host_names(), stage_.played()};
        return detail::Diagram::print_each(records(), lines,
                                           [&](const auto& r) { return diagram.plain(r); });
    }
    /// Returns the last lines of the history as JSON, one object in each line.
    [[nodiscard]] std::string json_lines(std::size_t lines = ~std::size_t{0}) const {
        const detail::Diagram diagram{host_names(), stage_.played()};
        return detail::Diagram::print_each(records(), lines,
                                           [&](const auto& r) { return diagram.json(r); });
    }
    /// Returns the host of this name; null if there is none.
    [[nodiscard]] Host* find(std::string_view name) const noexcept {
        for (const std::unique_ptr<Host>& h : hosts_) {
            if (h->name() == name) return h.get();
        }
        return nullptr;
    }
    /// Returns the names of the hosts, in the order of their making.
    [[nodiscard]] std::vector<std::string> host_names() const {
        std::vector<std::string> names;
        for (const std::unique_ptr<Host>& h : hosts_) names.emplace_back(h->name());
        return names;
    }
    /// Returns the last lines of the history, for comparison.
    [[nodiscard]] std::vector<detail::Record> records() const {
        return engine_.recorder().records();
    }
    /// Returns the time of the world.
    [[nodiscard]] Instant now() const noexcept { return engine_.now(); }
    /// Returns a clock that shows the time of the world.
    [[nodiscard]] Clock clock() const noexcept { return Clock{engine_}; }
    /// Returns a hash of everything that has happened, in order; it is equal on every compiler and
    /// CPU. Turns of machines are not part of it, but their actions are.
    [[nodiscard]] std::uint64_t trace_hash() const noexcept { return engine_.hash(); }
    /// Returns the scenarios that were played, as one.
    [[nodiscard]] const Scenario& scenario() const noexcept { return stage_.played(); }
    /// Returns the scenario of WorldOptions, given or drawn, after the first run.
    [[nodiscard]] const Scenario& drawn_scenario() const noexcept { return stage_.given(); }
    /// Returns when heal() was called last; nothing if it was not.
    [[nodiscard]] std::optional<Instant> healed_at() const noexcept { return stage_.healed_at(); }
    /// Returns how many faults of scenarios have begun.
    [[nodiscard]] std::uint64_t faults_begun() const noexcept { return stage_.begun(); }
    /// Returns whether the hosts sent and stored nothing from the first fault to heal().
    [[nodiscard]] bool was_idle() const noexcept { return stage_.was_idle(); }
    /// Returns how many processes have ended themselves (Host::exit_code).
    [[nodiscard]] std::uint64_t exits() const noexcept { return fabric_.exits; }
    /// Returns how many events and turns there were.
    [[nodiscard]] std::uint64_t events() const noexcept { return engine_.events(); }

private:
    static constexpr std::uint64_t runs_when_stopped_max = 10'000'000;

    using Change = void (Host::*)();
    struct Deferred {
        Host* host;
        Change change;
    };
    template <class F>
    bool require(std::string property, bool held, F&& details) {
        if (!held && !properties_.violation()) stop(std::move(property), details());
        return held;
    }
    /// Records a violation. Nothing happens any more.
    void stop(std::string property, std::string details) {
        properties_.violate({std::move(property), std::move(details), now()});
        engine_.recorder().stop();
        attention_ = true;
    }
    [[nodiscard]] bool needs_attention() const noexcept {
        return options_.play || options_.draw || options_.events_max != ~std::uint64_t{0} ||
               options_.time_max != forever || properties_.any() || properties_.violation();
    }
    /// Does what is rare before an event.   Returns: whether the world may go on.
    [[gnu::cold, gnu::noinline]] bool prepare() {
        if (properties_.violation()) {
            BELAY_PRECONDITION(properties_.run_when_stopped() < runs_when_stopped_max,
                               "World: the world has stopped after a violation; the test must "
                               "end, and not run it again");
            return false;
        }
        carry_out();
        if (options_.play) play_at_first(*std::exchange(options_.play, {}));
        if (options_.draw) {
            if (fabric_.on_draw) fabric_.on_draw(host_names());
            play_at_first(drawn(*std::exchange(options_.draw, {})));
        }
        if (engine_.events() >= options_.events_max) {
            stop("the limit of events", "the world does not come to rest: " + busy());
        } else if (now().time_since_epoch() >= options_.time_max) {
            stop("the limit of time",
                 "the world has run for " + detail::to_cpp(options_.time_max) + ": " + busy());
        }
        return !properties_.violation();
    }
    [[gnu::cold, gnu::noinline]] void conclude() {
        carry_out();
        if (!properties_.violation() && !properties_.check(now())) engine_.recorder().stop();
        attention_ = needs_attention();
    }
    void play_at_first(const Scenario& scenario) {
        stage_.give(scenario);
        // After heal() no fault begins.
        if (stage_.healed_at()) return;
        std::string reason = check(scenario);
        if (!reason.empty()) return stop("the scenario", std::move(reason));
        play(scenario);
    }
    [[nodiscard]] Scenario drawn(const ScenarioOptions& options) const {
        return sim::draw(options, engine_.seed, host_names());
    }
    /// Runs on for a moment, and returns what keeps the world busy.
    std::string busy() {
        std::map<std::string, int> counts;
        int sampled = 0;
        for (; sampled < 1000; ++sampled) {
            const detail::Engine::Upcoming next = engine_.upcoming();
            using Kind = detail::Engine::Upcoming::Kind;
            if (next.kind == Kind::nothing) break;
            std::string what = next.kind == Kind::message ? "messages"
                               : next.kind == Kind::turn  ? "turns of machines"
                                                          : "functions";
            for (const std::unique_ptr<Host>& h : hosts_) {
                if (h.get() == next.owner) what += " of " + std::string{h->name()};
            }
            ++counts[what];
            static_cast<void>(engine_.step(belay::never));
            carry_out();
        }
        std::string out = "of its next " + std::to_string(sampled) + " events";
        const char* separator = ", ";
        for (const auto& [what, count] : counts) {
            out += separator + std::to_string(count) + " are " + what;
        }
        return out + "; the time is then " + detail::Diagram::seconds(now());
    }
    void change(Host& h, Change c) {
        deferred_.push_back({&h, c});
        attention_ = true;
        carry_out();
    }
    void carry_out() {
        if (engine_.inside()) return;
        while (!deferred_.empty()) {
            const Deferred d = deferred_.front();
            deferred_.erase(deferred_.begin());
            (d.host->*d.change)();
        }
    }

    [[nodiscard]] std::string check(const Scenario::Step& step,
                                    std::optional<Duration> heals) const {
        const Fault& f = step.fault;
        std::vector<std::string> names{f.host};
        if (f.hits_link()) names.push_back(f.peer);
        if (step.message) names.insert(names.end(), {step.message->from, step.message->to});
        for (const std::string& name : names) {
            if (find(name) == nullptr) return "no host is called " + name;
        }
        if (f.hits_link() && f.host == f.peer) return "a link is between two different hosts";
        if (step.message) return {};
        if (belay::after(Instant{}, step.from) < now()) return "the time is over";
        const bool is_late = heals && step.from >= *heals;
        return is_late ? "it would begin after heal_at, and never happens" : "";
    }
    void watch_messages() {
        if (fabric_.on_send) return;
        fabric_.watches_messages = true;
        fabric_.on_send = [this](detail::Channel& c, int side, const Bytes& message) {
            const std::string& from = c.end(side).station->name;
            const std::string& to = c.end(1 - side).station->name;
            stage_.on_message(from, to, message, [&](detail::PlannedStep& p) {
                const Fault& f = p.step.fault;
                const bool this_link =
                    (f.host == from && f.peer == to) || (f.host == to && f.peer == from);
                if (f.kind == Fault::Kind::drop_connections && this_link) {
                    note_begin(p);
                    return c.cut();
                }
                // The sender's code is on the stack.
                engine_.call_at(now(), nullptr, [this, &p] { begin(p); });
            });
        };
    }
    void note_begin(detail::PlannedStep& p) {
        engine_.note(detail::Mark::fault, find(p.step.fault.host)->station_.index,
                     p.step.fault.key());
        stage_.begin(p, detail::work_of(fabric_, hosts_));
    }
    void begin(detail::PlannedStep& p) {
        if (!p.waits) return;
        note_begin(p);
        const Fault& f = p.step.fault;
        if (f.changes_link()) {
            change_links();
        } else if (f.kind == Fault::Kind::slow_reader) {
            change_reader(f);
        } else {
            if (f.kind == Fault::Kind::restart) stage_.end_all(Fault::Kind::kill, f.host);
            if (f.kind == Fault::Kind::resume) stage_.end_all(Fault::Kind::pause, f.host);
            detail::apply_by_call(*this, *find(f.host), find(f.peer), f);
        }
        if (p.holds && p.step.lasts != forever) {
            engine_.call_at(belay::after(now(), p.step.lasts), nullptr, [this, &p] { end(p); });
        }
    }
    void end(detail::PlannedStep& p) {
        if (!std::exchange(p.holds, false)) return;
        const Fault& f = p.step.fault;
        engine_.note(detail::Mark::fault_end, find(f.host)->station_.index, f.key());
        if (f.changes_link()) return change_links();
        if (f.kind == Fault::Kind::slow_reader) return change_reader(f);
        if (stage_.holds(f)) return;
        detail::apply_by_call(*this, *find(f.host), find(f.peer), f, false);
        // A partition and one in one direction hold a part of each other.
        if (!is_partition(f)) return;
        for (const detail::PlannedStep& other : stage_.steps()) {
            const Fault& o = other.step.fault;
            if (other.holds && is_partition(o)) {
                detail::apply_by_call(*this, *find(o.host), find(o.peer), o);
            }
        }
    }
    static bool is_partition(const Fault& f) noexcept {
        return f.kind == Fault::Kind::partition || f.kind == Fault::Kind::partition_one_way;
    }
    /// If two latencies or bandwidths of one link hold, the one later in the scenario counts.
    void change_links() {
        fabric_.links.end_faults();
        for (const detail::PlannedStep& p : stage_.steps()) {
            const Fault& f = p.step.fault;
            if (p.holds && f.changes_link()) {
                fabric_.links.begin_fault(find(f.host)->station_, find(f.peer)->station_, f);
            }
        }
        fabric_.links.settle_faults();
        detail::choose_latencies(fabric_);
    }
    /// If two slow readers of one host hold, the one later in the scenario counts.
    void change_reader(const Fault& f) {
        std::uint64_t rate = 0;
        for (const detail::PlannedStep& p : stage_.steps()) {
            if (p.holds && detail::same_effect(p.step.fault, f)) rate = p.step.fault.number;
        }
        network_.slow_reader(*find(f.host), rate);
    }
    bool step(Instant end) {
        BELAY_PRECONDITION(!engine_.inside(),
                           "World::run: the function must not be called from inside a run");
        if (attention_) [[unlikely]] {
            if (!prepare()) return false;
        }
        const bool ran = engine_.step(end);
        if (attention_) [[unlikely]]
            conclude();
        return ran;
    }

    detail::Engine engine_;
    detail::Fabric fabric_;
    detail::Stage stage_;
    Network network_;
    Random bits_;
    WorldOptions options_;
    detail::Properties properties_;
    std::vector<std::unique_ptr<void, void (*)(void*)>> kept_;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::vector<Deferred> deferred_;
    bool attention_ = false;  // something rare is to be done before or after the next event
};

}}}  // namespace belay::sim
