// SPDX-License-Identifier: MIT
/// \file belay/sim/scenario.hpp
/// sim::Scenario: the faults of a world and their times, written by hand or drawn from a seed.
#pragma once

#include <algorithm>  // std::any_of, std::max, std::min
#include <bit>        // std::bit_width
#include <cstdint>    // std::uint64_t
#include <iterator>   // std::size
#include <optional>   // std::optional
#include <string>     // std::string
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/random.hpp>
#include <belay/sim/fault.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// The order of the events of one instant.
enum class Order : std::uint8_t {
    fifo,     ///< the order in which they were made
    shuffled  ///< an order that depends on the seed; see WorldOptions::order
};

/// Names one message by its content: the `number`-th of a kind from one host to another.
///
/// World::name_messages sets the function that names the kind of a message. An empty kind means any
/// message. Counting starts when the scenario is played.
struct MessageKey {
    std::string from;          ///< the host that sends
    std::string to;            ///< the host to which it sends
    std::string kind;          ///< as World::name_messages names it; empty: any
    std::uint64_t number = 1;  ///< from 1 on

    friend bool operator==(const MessageKey&, const MessageKey&) = default;
};

/// A list of faults with their times. World::play plays it.
///
/// Faults do not depend on each other: a fault that is left out does not move the others. Two
/// faults of one kind may overlap; their effect ends with the later one.
///
/// Models:        std::regular.
/// Thread safety: distinct objects safe.
class Scenario {
public:
    /// One fault with its time.
    struct Step {
        Fault fault;                          ///< the fault
        Duration from{};                      ///< since the start of the world; not with a message
        Duration lasts = forever;             ///< `forever`: until World::heal
        std::optional<MessageKey> message{};  ///< it begins when this message is sent

        friend bool operator==(const Step&, const Step&) = default;
    };

    /// Adds a fault at a time since the start of the world. A fault that lasts holds until
    /// World::heal, or until a fault that ends it (`restart`, `resume`).   Pre: time >= 0ns.
    Scenario& at(Duration time, Fault fault) {
        BELAY_OPTION(time >= Duration::zero(), "Scenario::at: the time must be >= 0ns");
        return add({.fault = std::move(fault), .from = time});
    }
    /// Adds a fault that holds from one time to another, both since the start of the world.
    /// Pre: 0ns <= from <= to, and the fault lasts.
    Scenario& during(Duration from, Duration to, Fault fault) {
        BELAY_OPTION(Duration::zero() <= from && from <= to,
                     "Scenario::during: 0ns <= from <= to must hold");
        BELAY_OPTION(fault.lasts(),
                     "Scenario::during: the fault must be one that lasts; see sim::Fault");
        return add({.fault = std::move(fault), .from = from, .lasts = to - from});
    }
    /// Adds a fault that begins when a message is sent, and holds for `lasts`.
    Scenario& when(MessageKey message, Fault fault, Duration lasts = forever) {
        BELAY_OPTION(message.number > 0,
                     "Scenario::when: MessageKey::number must be > 0, 1 is the first message");
        BELAY_OPTION(lasts == forever || fault.lasts(),
                     "Scenario::when: the fault must be one that lasts; see sim::Fault");
        return add({.fault = std::move(fault), .lasts = lasts, .message = std::move(message)});
    }
    /// Calls World::heal at a time since the start of the world, which ends every fault. Faults
    /// that would begin later do not happen.
    Scenario& heal_at(Duration time) {
        BELAY_OPTION(time >= Duration::zero(), "Scenario::heal_at: the time must be >= 0ns");
        heal_at_ = time;
        return *this;
    }
    /// The clocks of the hosts at the start of the world.
    struct Clocks {
        Duration wall{};    ///< what wall clocks show, since 1970-01-01T00:00:00Z
        Duration uptime{};  ///< CLOCK_MONOTONIC of a Program: how long its computer has run

        friend bool operator==(const Clocks&, const Clocks&) = default;
    };
    /// Starts the clocks of all hosts at other times, at which their values wrap soon, for example.
    /// Host::clock() is not one of them. Pre: 0s <= wall, uptime <= 140 years of 365 days.
    Scenario& start_clocks(Duration wall, Duration uptime) {
        constexpr Duration most = std::chrono::hours{140 * 365 * 24};
        BELAY_OPTION(Duration::zero() <= wall && wall <= most && Duration::zero() <= uptime &&
                         uptime <= most,
                     "Scenario::start_clocks: the times must be from 0s to 140 years");
        clocks_ = {wall, uptime};
        return *this;
    }
    /// Adds one step as it is.
    Scenario& add(Step step) {
        steps_.push_back(std::move(step));
        return *this;
    }

    /// Returns the faults with their times, in the order of their adding.
    [[nodiscard]] const std::vector<Step>& steps() const noexcept { return steps_; }
    /// Returns the time that heal_at has set, if it has.
    [[nodiscard]] std::optional<Duration> heals() const noexcept { return heal_at_; }
    /// Returns what start_clocks has set.
    [[nodiscard]] const std::optional<Clocks>& clocks() const noexcept { return clocks_; }
    /// Returns the number of faults.
    [[nodiscard]] std::size_t size() const noexcept { return steps_.size(); }
    /// Returns whether there are no faults.
    [[nodiscard]] bool empty() const noexcept { return steps_.empty(); }

    friend bool operator==(const Scenario&, const Scenario&) = default;

private:
    std::vector<Step> steps_;
    std::optional<Duration> heal_at_;
    std::optional<Clocks> clocks_;
};

namespace detail {

/// Prints a duration as C++, in the largest unit that is exact.
[[nodiscard]] inline std::string to_cpp(Duration d) {
    struct Unit {
        std::int64_t ns;
        const char* suffix;
    };
    static constexpr Unit units[] = {
        {60'000'000'000, "min"}, {1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}};
    if (d == forever) return "belay::forever";
    if (d == Duration::zero()) return "0s";
    for (const Unit& u : units) {
        if (d.count() % u.ns == 0) return std::to_string(d.count() / u.ns) + u.suffix;
    }
    return {};
}
/// Prints a text as C++ that makes a std::string or a std::string_view of it.
[[nodiscard]] inline std::string to_cpp(std::string_view text) {
    static constexpr char digits[] = "01234567";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') out += '\\';
        if (byte >= 0x20 && byte < 0x7F) {
            out += c;
        } else {
            // Three octal digits: a hexadecimal escape would take the digits that follow, too.
            out += {'\\', digits[byte >> 6], digits[byte >> 3 & 7], digits[byte & 7]};
        }
    }
    out += '"';
    // A literal alone would end at its first zero.
    if (text.find('\0') == text.npos) return out;
    return "{" + out + ", " + std::to_string(text.size()) + "}";
}
[[nodiscard]] inline const char* function_of(Fault::Kind kind) noexcept {
    static constexpr const char* names[] = {"partition",
                                            "latency",
                                            "refuse",
                                            "drop_connections",
                                            "half_open",
                                            "kill",
                                            "restart",
                                            "pause",
                                            "resume",
                                            "refuse_disk",
                                            "fill_disk",
                                            "fail_disk",
                                            "partition_one_way",
                                            "bandwidth",
                                            "accept_then_close",
                                            "ignore_syncs",
                                            "flip_bit",
                                            "misdirect_write",
                                            "exponential_latency",
                                            "black_hole",
                                            "unknown_name",
                                            "slow_reader",
                                            "set_wall_clock",
                                            "fail_read",
                                            "fail_disk_after",
                                            "exhaust_descriptors",
                                            "hanging_name",
                                            "interrupt",
                                            "shorten_reads",
                                            "drift_clock"};
    static_assert(std::size(names) == static_cast<std::size_t>(Fault::Kind::drift_clock));
    return names[static_cast<std::size_t>(kind) - 1];
}
[[nodiscard]] inline std::string to_cpp(const Fault& f) {
    std::string out = std::string{"sim::"} + function_of(f.kind) + "(" + to_cpp(f.host);
    if (f.hits_link()) out += ", " + to_cpp(f.peer);
    if (f.has_latency()) out += ", " + to_cpp(f.min) + ", " + to_cpp(f.max);
    if (f.number != 0 || f.kind == Fault::Kind::flip_bit) out += ", " + std::to_string(f.number);
    if (f.kind == Fault::Kind::set_wall_clock) out += ", " + to_cpp(f.min);
    if (f.drift_ppm != 0 || f.kind == Fault::Kind::drift_clock)
        out += ", " + std::to_string(f.drift_ppm);
    if (f.queue_bytes != 0) out += ", " + std::to_string(f.queue_bytes);
    return out + ")";
}
[[nodiscard]] inline std::string to_cpp(const Scenario::Step& s) {
    if (s.message) {
        const MessageKey& m = *s.message;
        return ".when({" + to_cpp(m.from) + ", " + to_cpp(m.to) + ", " + to_cpp(m.kind) + ", " +
               std::to_string(m.number) + "}, " + to_cpp(s.fault) +
               (s.lasts == forever ? "" : ", " + to_cpp(s.lasts)) + ")";
    }
    if (s.lasts == forever) return ".at(" + to_cpp(s.from) + ", " + to_cpp(s.fault) + ")";
    return ".during(" + to_cpp(s.from) + ", " + to_cpp(part::saturating_add(s.from, s.lasts)) +
           ", " + to_cpp(s.fault) + ")";
}

}  // namespace detail

/// Prints a scenario as C++ that can be pasted into a test, with `using namespace belay` and the
/// literals of std::chrono.
[[nodiscard]] inline std::string to_cpp(const Scenario& scenario) {
    std::string out = "sim::Scenario{}";
    if (const auto& c = scenario.clocks()) {
        out += "\n    .start_clocks(" + detail::to_cpp(c->wall) + ", " + detail::to_cpp(c->uptime) +
               ")";
    }
    for (const Scenario::Step& s : scenario.steps()) out += "\n    " + detail::to_cpp(s);
    if (scenario.heals()) out += "\n    .heal_at(" + detail::to_cpp(*scenario.heals()) + ")";
    return out;
}

/// The faults that `draw` may put into a scenario: for each class the largest number of them.
///
/// For each seed a class is on or off, with equal probability. The number of its faults is drawn
/// log-uniformly from 1 to the largest number. 0 switches a class off. In general, tests find more
/// in this way than with all classes at the same rate (A. Groce et al., "Swarm Testing", 2012).
/// Another class or host does not move the other faults.
struct ScenarioOptions {
    /// `false`: every scenario has all classes, each with its largest number. Use it for failures
    /// that need faults of several classes at once, and for small numbers of seeds.
    bool swarm = true;
    std::uint32_t kills = 3;                  ///< processes that are killed for a time
    std::uint32_t pauses = 2;                 ///< processes that are frozen for a time
    std::uint32_t partitions = 2;             ///< partitions of two hosts
    std::uint32_t one_way_partitions = 0;     ///< partitions of two hosts in one direction
    std::uint32_t latencies = 2;              ///< links that are slow for a time
    std::uint32_t exponential_latencies = 0;  ///< links of exponential latency
    std::uint32_t bandwidths = 0;             ///< links with a bandwidth for a time
    std::uint32_t slow_readers = 0;           ///< processes that read slowly for a time
    std::uint32_t black_holes = 0;            ///< partitions of a host and all others
    std::uint32_t unknown_names = 0;          ///< times in which a host has no name
    std::uint32_t hanging_names = 0;          ///< times in which look-ups of a host hang
    std::uint32_t refusals = 2;               ///< times in which a host refuses connections
    std::uint32_t early_closes = 0;      ///< times in which connections are accepted and closed
    std::uint32_t drops = 2;             ///< times at which the connections of two hosts break
    std::uint32_t half_opens = 2;        ///< connections that break at one end only
    std::uint32_t cuts = 5;              ///< connections that break at the n-th message of a kind
    std::uint32_t disk_refusals = 0;     ///< times in which a disk fails
    std::uint32_t disk_errors = 0;       ///< single operations of a disk that fail
    std::uint32_t late_disk_errors = 0;  ///< operations that take effect and fail
    std::uint32_t exhaustions = 0;       ///< times without free descriptors
    std::uint32_t interrupts = 0;        ///< signals that interrupt a simulated program
    std::uint32_t short_reads = 0;       ///< times in which reads of files return less
    std::uint32_t full_disks = 0;        ///< times without space for more
    std::uint32_t read_errors = 0;       ///< single reads of a disk that fail
    std::uint32_t ignored_syncs = 0;     ///< times in which syncs have no effect

    /// The most bits that flip on disks.
    std::uint32_t bit_flips = 0;
    /// The most writes that take effect at another place of the disk.
    std::uint32_t misdirected_writes = 0;
    /// Times at which two hosts or more are killed together. Each host is a fault of its own, so a
    /// smaller scenario may have one of them.
    std::uint32_t power_losses = 0;
    /// Settings of wall clocks, with a drift.
    std::uint32_t wall_clocks = 0;
    /// Steady clocks of hosts that drift from the start of the world on, in the same range.
    std::uint32_t drifting_clocks = 0;
    /// Starts the clocks of the hosts so that values wrap within `within`: seconds of 31 bits,
    /// milliseconds of 31 or 32 bits, or a leap day that begins or ends.
    bool clocks_that_wrap = false;
    /// Faults begin within this time since the start of the world. No duration is negative.
    Duration within = std::chrono::seconds{20};
    /// The longest time that a fault lasts; lengths are drawn log-uniformly from 1 ms.
    Duration lasts_max = std::chrono::seconds{5};
    /// The longest travel of a message in a fault `latency`, and the longest mean in an
    /// `exponential_latency`. It is at most 24 h if that is drawn.
    Duration latency_max = std::chrono::seconds{2};
    /// The highest number of bytes per second in a fault `bandwidth` or `slow_reader`; drawn
    /// log-uniformly from 1,000. It is at most 10'000'000'000.
    std::uint64_t bandwidth_max = 1'000'000;
    /// The most by which a wall clock is set wrong. It is at most 30 years of 365 days.
    Duration clock_wrong_max = std::chrono::hours{1};
    /// The largest drift of a clock, in parts per million. The default is the largest that NTP
    /// corrects. It is from 0 to 999'999, or to 100'000 with `drifting_clocks`.
    /// Source: RFC 5905, MAXFREQ.
    std::int32_t clock_drift_max = 500;
    /// The largest number of a message in a cut, and of an operation in an error, a full disk or a
    /// misdirected write.
    std::uint64_t number_max = 64;
    /// The kinds of messages to cut at, as World::name_messages names them; none: any message.
    std::vector<std::string> kinds{};
    /// Hosts that no fault hits directly.
    std::vector<std::string> spared{};
};

namespace detail {

/// Draws the faults of one scenario. Each fault has a generator of its own, whose seed is made of
/// the class and the number of the fault, so that no fault depends on the others.
class ScenarioDraw {
public:
    ScenarioDraw(const ScenarioOptions& options, Seed seed, std::vector<std::string> hosts)
        : options_{options}, seed_{mix(seed.value, hash_of("scenario"))} {
        require_sound(options);
        for (std::string& host : hosts) {
            const bool spared = std::any_of(options.spared.begin(), options.spared.end(),
                                            [&](const std::string& s) { return s == host; });
            if (!spared) hosts_.push_back(std::move(host));
        }
    }

    [[nodiscard]] Scenario draw() {
        const ScenarioOptions& o = options_;
        each("kill", o.kills, 1, [&](Pick& p) { last(p, sim::kill(p.a)); });
        each("pause", o.pauses, 1, [&](Pick& p) { last(p, sim::pause(p.a)); });
        each("partition", o.partitions, 2, [&](Pick& p) { last(p, sim::partition(p.a, p.b)); });
        each("one-way partition", o.one_way_partitions, 2,
             [&](Pick& p) { last(p, sim::partition_one_way(p.a, p.b)); });
        each("latency", o.latencies, 2, [&](Pick& p) {
            const Duration max = log_uniform(p.bits, o.latency_max);
            last(p, sim::latency(p.a, p.b, max / 4, max));
        });
        each("exponential latency", o.exponential_latencies, 2, [&](Pick& p) {
            const Duration mean = log_uniform(p.bits, o.latency_max);
            last(p, sim::exponential_latency(p.a, p.b, mean / 4, mean));
        });
        each("bandwidth", o.bandwidths, 2, [&](Pick& p) {
            const std::uint64_t rate = some_rate(p);
            last(p, sim::bandwidth(p.a, p.b, rate));
        });
        each("slow reader", o.slow_readers, 1, [&](Pick& p) {
            const std::uint64_t rate = some_rate(p);
            last(p, sim::slow_reader(p.a, rate));
        });
        each("black hole", o.black_holes, 1, [&](Pick& p) { last(p, sim::black_hole(p.a)); });
        each("unknown name", o.unknown_names, 1, [&](Pick& p) { last(p, sim::unknown_name(p.a)); });
        each("hanging name", o.hanging_names, 1, [&](Pick& p) { last(p, sim::hanging_name(p.a)); });
        each("early close", o.early_closes, 1,
             [&](Pick& p) { last(p, sim::accept_then_close(p.a)); });
        each("refuse", o.refusals, 1, [&](Pick& p) { last(p, sim::refuse(p.a)); });
        each("drop", o.drops, 2,
             [&](Pick& p) { scenario_.at(some_time(p), sim::drop_connections(p.a, p.b)); });
        each("half open", o.half_opens, 2,
             [&](Pick& p) { scenario_.at(some_time(p), sim::half_open(p.a, p.b)); });
        each("cut", o.cuts, 2, [&](Pick& p) {
            MessageKey m{p.a, p.b, {}, 1};
            if (!o.kinds.empty()) {
                m.kind =
                    o.kinds[static_cast<std::size_t>(uniform_upto(p.bits, o.kinds.size() - 1))];
            }
            m.number = log_uniform(p.bits, o.number_max);
            scenario_.when(std::move(m), sim::drop_connections(p.a, p.b));
        });
        each("wall clock", o.wall_clocks, 1, [&](Pick& p) {
            const Duration at = some_time(p);
            const Duration wrong_by = log_uniform(p.bits, o.clock_wrong_max);
            const bool is_behind = (p.bits() & 1) != 0;
            scenario_.at(at,
                         sim::set_wall_clock(p.a, is_behind ? -wrong_by : wrong_by, some_drift(p)));
        });
        each("refuse disk", o.disk_refusals, 1, [&](Pick& p) { last(p, sim::refuse_disk(p.a)); });
        each("fail disk", o.disk_errors, 1, [&](Pick& p) {
            const Duration at = some_time(p);
            scenario_.at(at, sim::fail_disk(p.a, log_uniform(p.bits, o.number_max)));
        });
        each("late disk error", o.late_disk_errors, 1, [&](Pick& p) {
            const Duration at = some_time(p);
            scenario_.at(at, sim::fail_disk_after(p.a, log_uniform(p.bits, o.number_max)));
        });
        each("exhaustion", o.exhaustions, 1,
             [&](Pick& p) { last(p, sim::exhaust_descriptors(p.a)); });
        each("interrupt", o.interrupts, 1,
             [&](Pick& p) { scenario_.at(some_time(p), sim::interrupt(p.a)); });
        each("short reads", o.short_reads, 1, [&](Pick& p) { last(p, sim::shorten_reads(p.a)); });
        draw_silent_and_shared();
        if (o.clocks_that_wrap) start_clocks();
        return std::move(scenario_);
    }

private:
    struct Pick {
        Random bits;
        std::string a;
        std::string b;
    };

    void draw_silent_and_shared() {
        const ScenarioOptions& o = options_;
        const auto some_number = [&](Pick& p) { return log_uniform(p.bits, o.number_max); };
        each("full disk", o.full_disks, 1, [&](Pick& p) {
            const std::uint64_t number = some_number(p);
            last(p, sim::fill_disk(p.a, number));
        });
        each("read error", o.read_errors, 1, [&](Pick& p) {
            const Duration at = some_time(p);
            scenario_.at(at, sim::fail_read(p.a, some_number(p)));
        });
        each("ignored sync", o.ignored_syncs, 1, [&](Pick& p) { last(p, sim::ignore_syncs(p.a)); });
        each("bit flip", o.bit_flips, 1, [&](Pick& p) {
            const Duration at = some_time(p);
            scenario_.at(at, sim::flip_bit(p.a, p.bits() >> 32));
        });
        each("misdirected write", o.misdirected_writes, 1, [&](Pick& p) {
            const Duration at = some_time(p);
            scenario_.at(at, sim::misdirect_write(p.a, some_number(p)));
        });
        each("drifting clock", o.drifting_clocks, 1,
             [&](Pick& p) { scenario_.at(Duration{}, sim::drift_clock(p.a, some_drift(p))); });
        each("power loss", o.power_losses, 2, [&](Pick& p) {
            const Duration from = some_time(p);
            const Duration to = part::saturating_add(from, log_uniform(p.bits, o.lasts_max));
            const std::uint64_t others = p.bits();
            for (const std::string& h : hosts_) {
                const bool too = (mix(others, hash_of(h)) & 1) != 0;
                if (too || h == p.a || h == p.b) scenario_.during(from, to, sim::kill(h));
            }
        });
    }
    void start_clocks() {
        using std::chrono::seconds;
        // 2038-01-19T03:14:08Z, and the begin and the end of 2028-02-29.
        static constexpr Duration walls[] = {seconds{std::int64_t{1} << 31}, seconds{1'835'395'200},
                                             seconds{1'835'481'600}};
        static constexpr Duration uptimes[] = {std::chrono::milliseconds{std::int64_t{1} << 31},
                                               std::chrono::milliseconds{std::int64_t{1} << 32}};
        Pick p{Random{Seed{mix(seed_, hash_of("clocks"))}}, {}, {}};
        if (options_.swarm && (p.bits() & 1) == 0) return;
        const Duration wall = walls[uniform_upto(p.bits, std::size(walls) - 1)];
        const Duration uptime = uptimes[uniform_upto(p.bits, std::size(uptimes) - 1)];
        const Duration wall_left = some_time(p);
        scenario_.start_clocks(std::max(Duration{}, wall - wall_left),
                               std::max(Duration{}, uptime - some_time(p)));
    }
    // The reason comes at once, and not with the first seed that draws such a fault.
    static void require_sound(const ScenarioOptions& o) noexcept {
        constexpr Duration none{};
        BELAY_OPTION(none <= o.within && none <= o.lasts_max,
                     "ScenarioOptions: within and lasts_max must not be negative");
        BELAY_OPTION(none <= o.latency_max && (o.exponential_latencies == 0 ||
                                               is_exponential_latency(none, o.latency_max)),
                     "ScenarioOptions: latency_max must not be negative, and be at most 24h "
                     "with exponential_latencies");
        BELAY_OPTION(o.bandwidth_max == 0 || is_bandwidth(o.bandwidth_max),
                     "ScenarioOptions: bandwidth_max <= 10'000'000'000 must hold");
        BELAY_OPTION(none <= o.clock_wrong_max && o.clock_wrong_max <= clock_wrong_by_max,
                     "ScenarioOptions: clock_wrong_max must be from 0 to 30 years");
        BELAY_OPTION(0 <= o.clock_drift_max && o.clock_drift_max < drift_ppm_max,
                     "ScenarioOptions: 0 <= clock_drift_max < 1'000'000 must hold");
        BELAY_OPTION(o.drifting_clocks == 0 || is_steady_drift(o.clock_drift_max),
                     "ScenarioOptions: clock_drift_max <= 100'000 must hold with drifting_clocks");
        BELAY_OPTION(o.number_max != 0 ||
                         (o.cuts == 0 && o.disk_errors == 0 && o.late_disk_errors == 0 &&
                          o.full_disks == 0 && o.read_errors == 0 && o.misdirected_writes == 0),
                     "ScenarioOptions: number_max must be > 0 with cuts, errors of a disk, full "
                     "disks or misdirected writes");
    }
    /// Returns a number from 1 to `most`; each power of two is equally likely.
    static std::uint64_t log_uniform(Random& bits, std::uint64_t most) noexcept {
        if (most <= 1) return most;
        const auto widths = static_cast<std::uint64_t>(std::bit_width(most));
        const std::uint64_t low = std::uint64_t{1} << uniform_upto(bits, widths - 1);
        return low + uniform_upto(bits, std::min(low - 1, most - low));
    }
    static Duration log_uniform(Random& bits, Duration most) noexcept {
        // In whole milliseconds, which read well.
        constexpr std::int64_t ms = 1'000'000;
        const auto drawn = log_uniform(bits, static_cast<std::uint64_t>(most.count() / ms));
        return Duration{static_cast<std::int64_t>(drawn) * ms};
    }
    std::uint64_t some_rate(Pick& p) const noexcept {
        const std::uint64_t most = std::max<std::uint64_t>(options_.bandwidth_max / 1'000, 1);
        return log_uniform(p.bits, most) * 1'000;
    }
    std::int32_t some_drift(Pick& p) const noexcept {
        const auto range = static_cast<std::uint64_t>(options_.clock_drift_max) * 2;
        return static_cast<std::int32_t>(uniform_upto(p.bits, range)) - options_.clock_drift_max;
    }
    Duration some_time(Pick& p) const noexcept {
        const auto most = static_cast<std::uint64_t>(options_.within.count() / 1'000'000);
        return std::chrono::milliseconds{static_cast<std::int64_t>(uniform_upto(p.bits, most))};
    }
    void last(Pick& p, Fault fault) {
        const Duration from = some_time(p);
        const Duration length = log_uniform(p.bits, options_.lasts_max);
        scenario_.during(from, part::saturating_add(from, length), std::move(fault));
    }
    /// Picks the hosts by the highest key, so that another host in the world moves only the faults
    /// that hit it.
    bool pick(std::uint64_t key, Pick& p, std::size_t count) const {
        if (hosts_.size() < count) return false;
        const auto best = [&](std::uint64_t salt, const std::string& but) {
            const std::string* found = nullptr;
            for (const std::string& h : hosts_) {
                const auto rank = [&](const std::string& s) {
                    return mix(mix(key, salt), hash_of(s));
                };
                if (h != but && (found == nullptr || rank(h) > rank(*found))) found = &h;
            }
            return *found;
        };
        p.a = best(1, {});
        if (count == 2) p.b = best(2, p.a);
        return true;
    }
    template <class F>
    void each(std::string_view name, std::uint32_t most, std::size_t hosts, F&& f) {
        if (most == 0) return;
        const std::uint64_t key = mix(seed_, hash_of(name));
        Random swarm{Seed{key}};
        if (options_.swarm && (swarm() & 1) == 0) return;
        const std::uint64_t count = options_.swarm ? log_uniform(swarm, std::uint64_t{most}) : most;
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t own = mix(key, i);
            Pick p{Random{Seed{own}}, {}, {}};
            if (pick(own, p, hosts)) f(p);
        }
    }

    const ScenarioOptions& options_;
    const std::uint64_t seed_;
    std::vector<std::string> hosts_;
    Scenario scenario_;
};

}  // namespace detail

/// Draws a scenario over the hosts of these names. The same seed gives the same scenario on every
/// compiler.   Pre: the options are in their ranges.
[[nodiscard]] inline Scenario draw(const ScenarioOptions& options, Seed seed,
                                   std::vector<std::string> hosts) {
    return detail::ScenarioDraw{options, seed, std::move(hosts)}.draw();
}

}}}  // namespace belay::sim
