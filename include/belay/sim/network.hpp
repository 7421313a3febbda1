// SPDX-License-Identifier: MIT
/// \file belay/sim/network.hpp
/// sim::Network: what lies between the hosts, and everything that goes wrong there.
#pragma once

#include <utility>  // std::pair
#include <vector>   // std::erase_if

#include <belay/sim/host.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// The network of a world. Its faults hold until they are taken back.
///
/// Thread safety: the world's thread.
class Network {
public:
    explicit Network(detail::Fabric& fabric) noexcept : fabric_{fabric} {}
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    // ---- what it is like -----------------------------------------------------------------------

    /// How long a message travels, one way; 1 to 5 ms unless said otherwise. Order is kept.
    /// Pre: 0ns <= min <= max.
    void latency(Duration min, Duration max) noexcept {
        BELAY_PRECONDITION(Duration::zero() <= min && min <= max,
                           "Network::latency: 0ns <= min <= max must hold");
        fabric_.latency_min = min;
        fabric_.latency_max = max;
    }
    /// How much one end may have sent that the other has not read; 64 KiB unless said otherwise.
    /// A single message may be larger.   Pre: bytes > 0.
    void window_bytes(std::size_t bytes) noexcept {
        BELAY_PRECONDITION(bytes != 0, "Network::window_bytes: must be > 0");
        fabric_.window_bytes = bytes;
    }

    // ---- faults --------------------------------------------------------------------------------

    /// Nothing passes between two hosts, and nobody is told: connections are half-open, dialling
    /// gets no answer. What is sent is held until the partition heals, for a kernel sends it again
    /// and again; unless its process has died or let go, then it is lost.
    void partition(const Host& a, const Host& b) {
        BELAY_PRECONDITION(&a != &b, "Network::partition: must be two hosts");
        if (partitioned(a, b)) return;
        fabric_.engine.note(detail::Mark::block, a.station_.index, b.station_.index);
        fabric_.partitions.emplace_back(a.station_.index, b.station_.index);
        for_each(a, b, [](detail::Channel& c) { c.block(); });
    }
    /// Ends a partition. What was held arrives after the latency.
    void heal(const Host& a, const Host& b) {
        if (!partitioned(a, b)) return;
        fabric_.engine.note(detail::Mark::unblock, a.station_.index, b.station_.index);
        std::erase_if(fabric_.partitions,
                      [&](const auto& p) { return p == ordered(a, b) || p == ordered(b, a); });
        for_each(a, b, [](detail::Channel& c) { c.unblock(); });
    }
    /// Ends all partitions.
    void heal_all() {
        if (fabric_.partitions.empty()) return;
        fabric_.engine.note(detail::Mark::unblock, detail::nobody);
        fabric_.partitions.clear();
        for (std::size_t i = 0; i < fabric_.channels.size(); ++i) {
            if (fabric_.channels[i]->blocked()) fabric_.channels[i]->unblock();
        }
    }
    /// All connections between two hosts break; both ends see a reset. Of what was on the way the
    /// front arrives before.
    void drop_connections(const Host& a, const Host& b) {
        for_each(a, b, [](detail::Channel& c) { c.cut(); });
    }
    /// All connections between two hosts break at `gone`, whose process is told; the other is not,
    /// until it sends something.
    void half_open(const Host& gone, const Host& unaware) {
        for_each(gone, unaware,
                 [&](detail::Channel& c) { c.vanish(c.end(0).station == &gone.station_ ? 0 : 1); });
    }
    /// The host's kernel refuses new connections.
    void refuse(Host& host) noexcept { host.station_.refuses = true; }
    /// It accepts them again, where somebody listens.
    void accept(Host& host) noexcept { host.station_.refuses = false; }
    /// A connection breaks, as by drop_connections, at one of `n` messages on average; 0: at none.
    void cut_one_in(std::uint64_t n) noexcept { fabric_.cut_one_in = n; }

    // ---- observers -----------------------------------------------------------------------------

    [[nodiscard]] bool partitioned(const Host& a, const Host& b) const noexcept {
        return fabric_.blocked(a.station_, b.station_);
    }
    /// The sockets that a host's kernel has, listening ones aside.
    [[nodiscard]] std::size_t sockets(const Host& host) const noexcept {
        std::size_t count = 0;
        for (const belay::detail::Ref<detail::Channel>& c : fabric_.channels) {
            for (int side = 0; side < 2; ++side) {
                const detail::End& e = c->end(side);
                if (e.station == &host.station_ && e.exists) ++count;
            }
        }
        return count;
    }

private:
    static std::pair<std::uint32_t, std::uint32_t> ordered(const Host& a, const Host& b) noexcept {
        return {a.station_.index, b.station_.index};
    }
    template <class F>
    void for_each(const Host& a, const Host& b, F&& f) {
        for (std::size_t i = 0; i < fabric_.channels.size(); ++i) {
            detail::Channel& c = *fabric_.channels[i];
            const detail::Station* const x = c.end(0).station;
            const detail::Station* const y = c.end(1).station;
            const bool there = x == &a.station_ && y == &b.station_;
            const bool back = x == &b.station_ && y == &a.station_;
            if (there || back) f(c);
        }
    }

    detail::Fabric& fabric_;
};

}}}  // namespace belay::sim
