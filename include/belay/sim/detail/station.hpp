// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/station.hpp
/// Station and Fabric: the state that hosts and the network share.
#pragma once

#include <map>          // std::map
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/intrusive.hpp>
#include <belay/sim/detail/choices.hpp>
#include <belay/sim/detail/engine.hpp>
#include <belay/sim/fault.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

class Channel;

// A Ref deletes its Channel: a header that makes a Station or a Fabric includes channel.hpp.

/// The part of a host's kernel that handles sockets. It runs on while the process is frozen.
struct Station {
    struct Listener {
        // Connections that the kernel has completed and the process has not seen yet.
        std::vector<belay::detail::Ref<Channel>> backlog;
        Function<void(belay::detail::Ref<Channel>)> on_accept;
        // Of streams, instead: the process takes connections from the backlog when it wants to.
        Function<void()> on_waiting{};
        bool only_local = false;  // bound to the loopback address
    };

    std::string name;
    std::uint32_t index = 0;
    bool alive = false;
    bool frozen = false;
    bool refuses = false;
    bool closes_early = false;  // accepts a connection, and closes it at once
    std::uint64_t dials = 0;
    std::map<std::uint16_t, Listener> listeners;
};

/// How long a message travels, one way.
struct Latency {
    Duration min;
    Duration max;

    [[nodiscard]] Duration draw(Random& bits) const noexcept {
        const auto spread = static_cast<std::uint64_t>((max - min).count());
        return min + Duration{static_cast<std::int64_t>(uniform_upto(bits, spread))};
    }
};

/// The latency of one direction of a link, while a fault changes it.
struct LinkLatency {
    std::uint32_t from;
    std::uint32_t to;
    Latency latency;
};

/// The bytes that one direction of a link carries per second.
struct LinkBandwidth {
    std::uint32_t from;
    std::uint32_t to;
    std::uint64_t bytes_per_second = 0;        // as Network::bandwidth set it; 0: no limit
    std::uint64_t fault_bytes_per_second = 0;  // while a fault limits it; 0: none does
    Instant free_at = always;

    [[nodiscard]] std::uint64_t rate() const noexcept {
        return fault_bytes_per_second != 0 ? fault_bytes_per_second : bytes_per_second;
    }
    /// Carries a segment after those before it.   Returns: when it has arrived.
    Instant carry(std::size_t bytes, Instant now) noexcept {
        // So that no product overflows: whole seconds, and the rest.
        constexpr std::uint64_t second = 1'000'000'000;
        const std::uint64_t rest = bytes % rate() * second;
        const std::uint64_t ns = rest / rate() + (rest % rate() != 0);
        const auto whole = std::chrono::seconds{static_cast<std::int64_t>(bytes / rate())};
        const auto part = Duration{static_cast<std::int64_t>(ns)};
        return free_at = after(std::max(free_at, now), whole + part);
    }
};

/// How the links between hosts carry messages.
struct Links {
    Latency latency{std::chrono::milliseconds{1}, std::chrono::milliseconds{5}};
    std::vector<LinkLatency> latencies{};  // of faults
    std::vector<LinkBandwidth> bandwidths{};
    bool limits_bandwidth = false;  // one of them may be limited

    [[nodiscard]] const Latency& latency_of(const Station& from, const Station& to) const noexcept {
        for (std::size_t i = latencies.size(); i-- != 0;) {
            const LinkLatency& l = latencies[i];
            if (l.from == from.index && l.to == to.index) return l.latency;
        }
        return latency;
    }
    [[nodiscard]] LinkBandwidth& bandwidth_of(const Station& from, const Station& to) {
        for (LinkBandwidth& l : bandwidths) {
            if (l.from == from.index && l.to == to.index) return l;
        }
        return bandwidths.emplace_back(LinkBandwidth{.from = from.index, .to = to.index});
    }
    void begin_fault(const Station& from, const Station& to, const Fault& f) {
        if (f.kind == Fault::Kind::latency) {
            return latencies.push_back({from.index, to.index, {f.min, f.max}});
        }
        bandwidth_of(from, to).fault_bytes_per_second = f.number;
        limits_bandwidth = true;
    }
    void end_faults() noexcept {
        latencies.clear();
        for (LinkBandwidth& l : bandwidths) l.fault_bytes_per_second = 0;
    }
};

/// The state of the network.
struct Fabric {
    Engine& engine;
    Choices choices;
    std::vector<Station*> stations{};
    std::vector<belay::detail::Ref<Channel>> channels{};
    static constexpr std::size_t sweep_min = 32;
    std::size_t sweep_at = sweep_min;  // number of channels at which to look for dead ones
    std::vector<std::pair<std::uint32_t, std::uint32_t>> partitions{};  // from, to
    Links links{};
    std::size_t window_bytes = 64 * 1024;
    std::uint64_t cut_one_in = 0;
    // Called for each message that is sent: the channel, the sender's side, the message.
    Function<void(Channel&, int, const Bytes&)> on_send{};
    bool watches_messages = false;  // cut_one_in or on_send is set

    [[nodiscard]] Station* find(std::string_view name) const noexcept {
        for (Station* const s : stations) {
            if (s->name == name) return s;
        }
        return nullptr;
    }
    [[nodiscard]] bool blocked(const Station& from, const Station& to) const noexcept {
        for (const auto& [x, y] : partitions) {
            if (x == from.index && y == to.index) return true;
        }
        return false;
    }
};

}}}  // namespace belay::sim::detail
