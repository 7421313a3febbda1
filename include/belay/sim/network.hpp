// SPDX-License-Identifier: MIT
/// \file belay/sim/network.hpp
/// sim::Network: the connections between hosts, and their faults.
#pragma once

#include <utility>  // std::pair
#include <vector>   // std::erase_if

#include <belay/sim/host.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

namespace detail {

/// Looks up the latencies of all connections again.
inline void choose_latencies(const Fabric& fabric) noexcept {
    for (const belay::detail::Ref<Channel>& c : fabric.channels) c->choose_latency();
}

}  // namespace detail

/// The network of a world. A fault holds until you take it back.
///
/// Thread safety: the world's thread.
class Network {
public:
    explicit Network(detail::Fabric& fabric) noexcept : fabric_{fabric} {}
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    // ---- what it is like -----------------------------------------------------------------------

    /// Sets how long a message travels, one way, between all hosts; 1 to 5 ms by default. Each time
    /// in the range is equally likely. Order is kept.   Pre: 0ns <= min <= max.
    void latency(Duration min, Duration max) noexcept {
        BELAY_OPTION(Duration::zero() <= min && min <= max,
                     "Network::latency: 0ns <= min <= max must hold");
        fabric_.links.latency = {min, max};
    }
    /// Sets how long a message travels from one host to another, instead of between all hosts.
    /// Pre: 0ns <= min <= max.
    void latency(const Host& from, const Host& to, Duration min, Duration max) {
        BELAY_OPTION(Duration::zero() <= min && min <= max,
                     "Network::latency: 0ns <= min <= max must hold");
        set_latency(from, to, {min, max});
    }
    /// Sets how long a message travels, as latency(), with the exponential distribution: `min` at
    /// least, `mean` on average, and at most `min` + 17 x (`mean` - `min`).
    /// Pre: 0ns <= min <= mean <= 24h.
    void exponential_latency(Duration min, Duration mean) noexcept {
        BELAY_OPTION(detail::is_exponential_latency(min, mean),
                     "Network::exponential_latency: 0ns <= min <= mean <= 24h must hold");
        fabric_.links.latency = {min, mean, true};
    }
    /// Sets the same from one host to another, instead of between all hosts.
    void exponential_latency(const Host& from, const Host& to, Duration min, Duration mean) {
        BELAY_OPTION(detail::is_exponential_latency(min, mean),
                     "Network::exponential_latency: 0ns <= min <= mean <= 24h must hold");
        set_latency(from, to, {min, mean, true});
    }
    /// Sets how many bytes per second travel from one host to another; 0: no limit, the default.
    ///
    /// All connections between the two share them, each segment with 40 bytes of headers. When the
    /// limit ends, what waits continues within 0.1 s. `queue_bytes` limits the bytes that wait for
    /// the link; 0: no limit. A segment that finds the queue full is lost. The kernel repeats it
    /// after 200 ms, and a request for a connection or its acceptance after 1 s. At most one
    /// segment of each connection is in the queue, so a connection alone loses nothing.
    /// Pre: bytes_per_second <= 10'000'000'000; queue_bytes is 0 if bytes_per_second is 0.
    void bandwidth(const Host& from, const Host& to, std::uint64_t bytes_per_second,
                   std::uint64_t queue_bytes = 0) {
        BELAY_OPTION(bytes_per_second == 0 || detail::is_bandwidth(bytes_per_second),
                     "Network::bandwidth: bytes_per_second <= 10'000'000'000 must hold");
        BELAY_OPTION(bytes_per_second != 0 || queue_bytes == 0,
                     "Network::bandwidth: queue_bytes must be 0 if bytes_per_second is 0");
        BELAY_PRECONDITION(&from != &to, "Network::bandwidth: the two hosts must differ");
        detail::Bottleneck& link = fabric_.links.bandwidth_of(from.station_, to.station_);
        link.own = {bytes_per_second, queue_bytes};
        link.settle();
        fabric_.links.limits_bandwidth = fabric_.links.limits_bandwidth || bytes_per_second != 0;
    }
    /// Sets how many bytes one end may have sent that the other has not read; 64 KiB by default. A
    /// single message may be larger.   Pre: bytes > 0.
    void window_bytes(std::size_t bytes) noexcept {
        BELAY_OPTION(bytes != 0, "Network::window_bytes: the window must be > 0");
        fabric_.window_bytes = bytes;
    }

    // ---- faults --------------------------------------------------------------------------------

    /// Stops all traffic between two hosts, without a notification.
    ///
    /// Connections are half-open, and dialling gets no answer. Sent messages are held until the
    /// partition heals, because a kernel sends them again and again. They are lost if the sending
    /// process has died or has ended the connection.
    void partition(const Host& a, const Host& b) {
        BELAY_PRECONDITION(&a != &b, "Network::partition: the two hosts must differ");
        if (listed(a, b) && listed(b, a)) return;
        fabric_.engine.note(detail::Mark::block, a.station_.index, b.station_.index);
        block(a, b);
        block(b, a);
    }
    /// Stops the traffic from one host to another, without a notification. The other direction
    /// works, until its window is full, because acknowledgements do not arrive.
    void partition_one_way(const Host& from, const Host& to) {
        BELAY_PRECONDITION(&from != &to, "Network::partition_one_way: the two hosts must differ");
        if (listed(from, to)) return;
        fabric_.engine.note(detail::Mark::block, from.station_.index, one_way(to));
        block(from, to);
    }
    /// Stops all traffic between a host and all others, without a notification, as if its power or
    /// its network had failed. `false` ends that. Partitions do not change.
    void black_hole(Host& host, bool on = true) {
        if (host.station_.faults.unreachable == on) return;
        fabric_.engine.note(on ? detail::Mark::block : detail::Mark::unblock, host.station_.index,
                            everyone);
        host.station_.faults.unreachable = on;
        follow_partitions();
    }
    /// Ends a partition. Held messages arrive after the latency.
    void heal(const Host& a, const Host& b) {
        if (!listed(a, b) && !listed(b, a)) return;
        fabric_.engine.note(detail::Mark::unblock, a.station_.index, b.station_.index);
        std::erase(fabric_.partitions, ordered(a, b));
        std::erase(fabric_.partitions, ordered(b, a));
        follow_partitions();
    }
    /// Ends a partition in one direction.
    void heal_one_way(const Host& from, const Host& to) {
        if (!listed(from, to)) return;
        fabric_.engine.note(detail::Mark::unblock, from.station_.index, one_way(to));
        std::erase(fabric_.partitions, ordered(from, to));
        follow_partitions();
    }
    /// Ends all partitions and black holes.
    void heal_all() {
        bool any = !fabric_.partitions.empty();
        for (detail::Station* const s : fabric_.stations) {
            any = std::exchange(s->faults.unreachable, false) || any;
        }
        if (!any) return;
        fabric_.engine.note(detail::Mark::unblock, detail::no_host);
        fabric_.partitions.clear();
        follow_partitions();
    }
    /// Breaks all connections between two hosts, and both ends see a reset. A first part of the
    /// messages on the way may still arrive before it.
    void drop_connections(const Host& a, const Host& b) {
        for_each(a, b, [](detail::Channel& c) { c.cut(); });
    }
    /// Breaks all connections between two hosts at `gone`, whose process is notified. The process
    /// of `unaware` is not notified until it sends something.
    void half_open(const Host& gone, const Host& unaware) {
        for_each(gone, unaware,
                 [&](detail::Channel& c) { c.vanish(c.end(0).station == &gone.station_ ? 0 : 1); });
    }
    /// Makes the host's kernel refuse new connections.
    void refuse(Host& host) noexcept { host.station_.faults.refuses = true; }
    /// Makes the host's kernel accept connections again, on ports with a listener.
    void accept(Host& host) noexcept { host.station_.faults.refuses = false; }
    /// Makes the host's kernel accept each new connection and close it at once, also while no
    /// process runs. A load balancer without a healthy server does the same. `false` ends that.
    void accept_then_close(Host& host, bool on = true) noexcept {
        host.station_.faults.closes_early = on;
    }
    /// Takes the host's name out of the name service: dialling it by name fails at once, as for a
    /// host that is not there. Connections and addresses still work. `false` ends that.
    void unknown_name(Host& host, bool on = true) noexcept { host.station_.faults.nameless = on; }
    /// Makes look-ups of the host's name hang: a look-up that begins now fails after 10 s, as if no
    /// name server answered. Connections and addresses still work. `false` ends that.
    void hanging_name(Host& host, bool on = true) noexcept { host.station_.faults.name_hangs = on; }
    /// Limits how many bytes per second the host's process reads, from all its connections
    /// together; 0: no limit, the default. Windows of its peers become full, and it reads and
    /// answers pings late.   Pre: bytes_per_second <= 10'000'000'000.
    void slow_reader(Host& host, std::uint64_t bytes_per_second) noexcept {
        BELAY_OPTION(bytes_per_second == 0 || detail::is_bandwidth(bytes_per_second),
                     "Network::slow_reader: bytes_per_second <= 10'000'000'000 must hold");
        host.station_.reads.own = {bytes_per_second, 0};
        host.station_.reads.settle();
        fabric_.links.limits_bandwidth = fabric_.links.limits_bandwidth || bytes_per_second != 0;
    }
    /// Breaks a connection, as drop_connections does, at one of `n` messages on average; 0: at
    /// none.
    void cut_one_in(std::uint64_t n) noexcept {
        fabric_.cut_one_in = n;
        fabric_.watches_messages = n != 0 || fabric_.on_send;
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns whether the traffic from `from` to `to` is stopped.
    [[nodiscard]] bool partitioned(const Host& from, const Host& to) const noexcept {
        return fabric_.blocked(from.station_, to.station_);
    }
    /// Returns the number of sockets that a host's kernel has, without listening ones.
    [[nodiscard]] std::size_t sockets(const Host& host) const {
        std::size_t count = 0;
        for (const belay::detail::Ref<detail::Channel>& c : fabric_.channels) {
            c->expire();
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
    /// The fact of a history that names a host, and that the other direction works.
    static std::uint64_t one_way(const Host& to) noexcept {
        return std::uint64_t{1} << 32 | to.station_.index;
    }
    /// The fact of a history that names all other hosts.
    static constexpr std::uint64_t everyone = std::uint64_t{1} << 33;
    /// Returns whether a partition stops this direction; a black hole may stop it, too.
    [[nodiscard]] bool listed(const Host& from, const Host& to) const noexcept {
        return fabric_.partitioned(from.station_, to.station_);
    }
    void block(const Host& from, const Host& to) {
        if (listed(from, to)) return;
        fabric_.partitions.push_back(ordered(from, to));
        for_each(from, to, [&](detail::Channel& c) { c.block(from.station_); });
    }
    void follow_partitions() {
        for (std::size_t i = 0; i < fabric_.channels.size(); ++i) {
            fabric_.channels[i]->follow_partitions();
        }
    }
    void set_latency(const Host& from, const Host& to, const detail::Latency& latency) {
        BELAY_PRECONDITION(&from != &to, "Network::latency: the two hosts must differ");
        fabric_.links.set_latency(from.station_, to.station_, latency);
        detail::choose_latencies(fabric_);
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
