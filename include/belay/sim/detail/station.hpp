// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/station.hpp
/// Station and Fabric: the state that hosts and the network share.
#pragma once

#include <algorithm>    // std::any_of
#include <map>          // std::map
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/sim/detail/choices.hpp>
#include <belay/sim/detail/clock_settings.hpp>
#include <belay/sim/detail/engine.hpp>
#include <belay/sim/detail/exponential.hpp>
#include <belay/sim/fault.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

class Channel;

// A Ref deletes its Channel: a header that makes a Station or a Fabric includes channel.hpp.

/// A limit of the bytes per second that pass a place.
struct Throttle {
    std::uint64_t bytes_per_second = 0;  // 0: no limit
    std::uint64_t queue_bytes = 0;       // how many bytes may wait; 0: no limit

    friend bool operator==(Throttle, Throttle) = default;
};

/// A place that bytes pass one after the other.
struct Bottleneck {
    Throttle own{};      // as a call of Network has set it
    Throttle fault{};    // while a fault limits it
    Throttle settled{};  // what counted at the last call of settle()
    Instant free_at = always;
    std::uint32_t epoch = 0;  // the number of changes of what counts

    [[nodiscard]] const Throttle& throttle() const noexcept {
        return fault.bytes_per_second != 0 ? fault : own;
    }
    [[nodiscard]] std::uint64_t rate() const noexcept { return throttle().bytes_per_second; }
    /// Forgets what a former limit has delayed, if another one counts now. Every change of a limit
    /// calls it.
    void settle() noexcept {
        if (std::exchange(settled, throttle()) == throttle()) return;
        free_at = always;
        ++epoch;
    }
    /// Carries a segment after those before it.   Returns: when it has arrived.   Pre: rate() > 0.
    Instant carry(std::size_t bytes, Instant now) noexcept {
        // So that no product overflows: whole seconds, and the rest.
        const std::uint64_t rest = bytes % rate() * second;
        const std::uint64_t ns = rest / rate() + (rest % rate() != 0);
        const auto whole = std::chrono::seconds{static_cast<std::int64_t>(bytes / rate())};
        const auto part = Duration{static_cast<std::int64_t>(ns)};
        return free_at = after(std::max(free_at, now), whole + part);
    }
    /// Returns whether there is no space for a segment behind those that wait. An empty queue has
    /// space for any segment.
    [[nodiscard]] bool full(std::size_t bytes, Instant now) const noexcept {
        const std::uint64_t most = throttle().queue_bytes;
        if (most == 0 || free_at <= now) return false;
        const std::uint64_t waiting = bytes_in(elapsed(now, free_at));
        return waiting >= most || bytes > most - waiting;
    }
    /// Returns how many bytes it carries in a time.   Pre: time >= 0ns.
    [[nodiscard]] std::uint64_t bytes_in(Duration time) const noexcept {
        const auto ns = static_cast<std::uint64_t>(time.count());
        return ns / second * rate() + ns % second * rate() / second;
    }

private:
    static constexpr std::uint64_t second = 1'000'000'000;
};

/// The most connections of a listener that wait for its process.
inline constexpr std::size_t backlog_max = 128;

/// The part of a host's kernel that handles sockets. It runs on while the process is frozen.
struct Station {
    struct Listener {
        // Connections that the kernel has completed and the process has not seen yet.
        std::vector<belay::detail::Ref<Channel>> backlog;
        Function<void(belay::detail::Ref<Channel>)> on_accept;
        // For streams, instead: the process takes connections from the backlog when it wants to.
        Function<void()> on_waiting{};
        bool only_local = false;  // bound to the loopback address
        bool reuses_address = false;
        std::size_t waiting_max = backlog_max;

        [[nodiscard]] bool is_full_for(const Channel& c) const noexcept {
            return backlog.size() >= waiting_max && !has(c);
        }
        [[nodiscard]] bool has(const Channel& c) const noexcept {
            return std::any_of(backlog.begin(), backlog.end(),
                               [&](const auto& waiting) { return waiting.get() == &c; });
        }
    };

    struct Faults {
        bool refuses = false;
        bool closes_early = false;  // accepts a connection, and closes it at once
        bool unreachable = false;   // no traffic reaches or leaves the host
        bool nameless = false;      // no name service knows its name
        bool name_hangs = false;    // no name service answers for its name
        bool lacks_descriptors = false;
        bool shortens_reads = false;
    };

    std::string name;
    std::uint32_t index = 0;
    bool alive = false;
    bool frozen = false;
    Faults faults{};
    Bottleneck reads{};  // how fast its process reads
    WallSetting wall{};  // its wall clock
    SteadySetting* steady = nullptr;
    std::uint64_t dials = 0;
    std::map<std::uint16_t, Listener> listeners;
    std::multimap<std::uint16_t, const bool*> bound{};  // sockets, and whether they reuse addresses
    Function<void()> on_interrupt{};                    // of a simulated program
    // Ports of connections that it has closed first, with SO_REUSEADDR or without: until when.
    std::map<std::pair<std::uint16_t, bool>, Instant> time_waits{};

    /// Returns whether its process can take connections from a backlog.
    [[nodiscard]] bool accepts() const noexcept { return !frozen && !faults.lacks_descriptors; }
    /// Returns the listener for a request from a host; null if the kernel refuses the request.
    [[nodiscard]] Listener* listener_for(std::uint16_t port, const Station& from) noexcept {
        const auto at = listeners.find(port);
        const bool has_one = at != listeners.end() && (!at->second.only_local || &from == this);
        return alive && !faults.refuses && has_one ? &at->second : nullptr;
    }
};

/// How long a message travels, one way.
struct Latency {
    Duration min;
    Duration max;  // if it is exponential: the mean
    bool is_exponential = false;

    [[nodiscard]] Duration draw(Random& bits) const noexcept {
        if (is_exponential) return min + exponential(max - min, bits);
        const auto spread = static_cast<std::uint64_t>((max - min).count());
        return min + Duration{static_cast<std::int64_t>(uniform_upto(bits, spread))};
    }
};

/// The latency of one direction of a link.
struct LinkLatency {
    std::uint32_t from;
    std::uint32_t to;
    Latency latency;
};

/// The bandwidth of one direction of a link.
struct LinkBandwidth {
    std::uint32_t from;
    std::uint32_t to;
    Bottleneck bottleneck{};
};

/// How the links between hosts carry messages.
struct Links {
    Latency latency{std::chrono::milliseconds{1}, std::chrono::milliseconds{5}};
    std::vector<LinkLatency> latencies{};        // as calls of Network have set them
    std::vector<LinkLatency> fault_latencies{};  // these come first
    std::vector<LinkBandwidth> bandwidths{};
    bool limits_bandwidth = false;  // one of them, or a reader, may be limited

    /// Returns the latency that counts. It is valid until one is added or removed.
    [[nodiscard]] const Latency& latency_of(const Station& from, const Station& to) const noexcept {
        for (const std::vector<LinkLatency>* const all : {&fault_latencies, &latencies}) {
            for (std::size_t i = all->size(); i-- != 0;) {
                const LinkLatency& l = (*all)[i];
                if (l.from == from.index && l.to == to.index) return l.latency;
            }
        }
        return latency;
    }
    void set_latency(const Station& from, const Station& to, const Latency& l) {
        std::erase_if(latencies, [&](const LinkLatency& old) {
            return old.from == from.index && old.to == to.index;
        });
        latencies.push_back({from.index, to.index, l});
    }
    [[nodiscard]] Bottleneck& bandwidth_of(const Station& from, const Station& to) {
        for (LinkBandwidth& l : bandwidths) {
            if (l.from == from.index && l.to == to.index) return l.bottleneck;
        }
        return bandwidths.emplace_back(LinkBandwidth{.from = from.index, .to = to.index})
            .bottleneck;
    }
    void begin_fault(const Station& from, const Station& to, const Fault& f) {
        if (f.kind == Fault::Kind::bandwidth) {
            bandwidth_of(from, to).fault = {f.number, f.queue_bytes};
            limits_bandwidth = true;
            return;
        }
        const bool is_exponential = f.kind == Fault::Kind::exponential_latency;
        fault_latencies.push_back({from.index, to.index, {f.min, f.max, is_exponential}});
    }
    /// Ends all faults. settle_faults() follows, since the same ones may begin again before.
    void end_faults() noexcept {
        fault_latencies.clear();
        for (LinkBandwidth& l : bandwidths) l.bottleneck.fault = {};
    }
    void settle_faults() noexcept {
        for (LinkBandwidth& l : bandwidths) l.bottleneck.settle();
    }
};

inline constexpr std::size_t sweep_min = 32;

/// The state of the network.
struct Fabric {
    Engine& engine;
    Choices choices;
    std::vector<Station*> stations{};
    std::vector<belay::detail::Ref<Channel>> channels{};
    std::size_t sweep_at = sweep_min;  // number of channels at which to look for dead ones
    std::vector<std::pair<std::uint32_t, std::uint32_t>> partitions{};  // from, to
    Links links{};
    std::size_t window_bytes = 64 * 1024;
    std::uint64_t cut_one_in = 0;
    std::uint64_t sends = 0;  // all messages that were sent
    std::uint64_t exits = 0;  // all processes that ended themselves
    // Called for each message that is sent: the channel, the sender's side, the message.
    Function<void(Channel&, int, const Bytes&)> on_send{};
    /// For an exploration: called with the names of the hosts before a scenario is drawn.
    belay::detail::Function<void(const std::vector<std::string>&)> on_draw{};
    bool watches_messages = false;  // cut_one_in or on_send is set

    [[nodiscard]] Station* find(std::string_view name) const noexcept {
        for (Station* const s : stations) {
            if (s->name == name) return s;
        }
        return nullptr;
    }
    /// Returns the host that a name service finds.
    [[nodiscard]] Station* look_up(std::string_view name) const noexcept {
        Station* const s = find(name);
        return s != nullptr && s->faults.nameless ? nullptr : s;
    }
    [[nodiscard]] bool blocked(const Station& from, const Station& to) const noexcept {
        if ((from.faults.unreachable || to.faults.unreachable) && &from != &to) return true;
        return partitioned(from, to);
    }
    [[nodiscard]] bool partitioned(const Station& from, const Station& to) const noexcept {
        for (const auto& [x, y] : partitions) {
            if (x == from.index && y == to.index) return true;
        }
        return false;
    }
};

/// The time after which a look-up that hangs fails.
inline constexpr Duration hang_time = std::chrono::seconds{10};

[[nodiscard]] inline bool name_hangs(const Fabric& fabric, std::string_view name) noexcept {
    const Station* const s = fabric.find(name);
    return s != nullptr && s->faults.name_hangs;
}

}}}  // namespace belay::sim::detail
