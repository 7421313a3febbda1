// SPDX-License-Identifier: MIT
/// \file belay/sim/fault.hpp
/// sim::Fault: one fault of a simulated world, as a value that is printed, compared and left out.
#pragma once

#include <cstdint>      // std::uint64_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>
#include <belay/sim/detail/clock_settings.hpp>
#include <belay/sim/detail/trace.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

namespace detail {

[[nodiscard]] constexpr bool is_bandwidth(std::uint64_t bytes_per_second) noexcept {
    return bytes_per_second != 0 && bytes_per_second <= 10'000'000'000;
}
[[nodiscard]] constexpr bool is_exponential_latency(Duration min, Duration mean) noexcept {
    return Duration::zero() <= min && min <= mean && mean <= std::chrono::hours{24};
}

}  // namespace detail

/// A fault that hits one host or the link between two. The functions below make the faults.
///
/// A fault refers to hosts by name. A fault that *lasts* holds until the scenario takes it back, or
/// until World::heal; the others happen at one instant.
///
/// Models:        std::regular, except for default construction.
/// Thread safety: distinct objects safe.
struct Fault {
    /// The kind of a fault. Values are part of key(): append, never renumber.
    enum class Kind : std::uint8_t {
        partition = 1,         ///< lasts: Network::partition
        latency = 2,           ///< lasts: messages from `host` to `peer` travel for `min` to `max`
        refuse = 3,            ///< lasts: Network::refuse
        drop_connections = 4,  ///< Network::drop_connections
        half_open = 5,         ///< Network::half_open(host, peer)
        kill = 6,              ///< lasts: World::kill; at its end the process is started again
        restart = 7,           ///< World::restart
        pause = 8,             ///< lasts: World::pause
        resume = 9,            ///< World::resume
        refuse_disk = 10,      ///< lasts: Disk::refuse
        fill_disk = 11,        ///< lasts: from the `number`-th operation on, or now, no more space
        fail_disk = 12,        ///< Disk::fail_at: the `number`-th operation from now fails
        partition_one_way = 13,  ///< lasts: Network::partition_one_way(host, peer)
        bandwidth = 14,  ///< lasts: Network::bandwidth from `host` to `peer`: `number` bytes
        accept_then_close = 15,    ///< lasts: Network::accept_then_close
        ignore_syncs = 16,         ///< lasts: Disk::ignore_syncs
        flip_bit = 17,             ///< Disk::flip_bit(number)
        misdirect_write = 18,      ///< Disk::misdirect_at: the `number`-th operation from now
        exponential_latency = 19,  ///< lasts: they travel for `min` at least, and `max` on average
        black_hole = 20,           ///< lasts: Network::black_hole
        unknown_name = 21,         ///< lasts: Network::unknown_name
        slow_reader = 22,          ///< lasts: Network::slow_reader with `number` bytes
        set_wall_clock = 23,       ///< Host::set_wall_clock(min, drift_ppm)
        fail_read = 24,            ///< Disk::fail_read_at: the `number`-th read from now fails
        fail_disk_after = 25,      ///< Disk::fail_after: the `number`-th operation from now
        exhaust_descriptors = 26,  ///< lasts: Host::exhaust_descriptors
        hanging_name = 27,         ///< lasts: Network::hanging_name
        interrupt = 28,            ///< Host::interrupt
        shorten_reads = 29,        ///< lasts: Host::shorten_reads
        drift_clock = 30           ///< Host::drift_clock(drift_ppm)
    };

    Kind kind;                      ///< what happens
    std::string host;               ///< the host that it hits
    std::string peer{};             ///< the other host of a link; otherwise empty
    Duration min{};                 ///< of a latency; of a wall clock: how wrong it is
    Duration max{};                 ///< of a latency; of an exponential one: the mean
    std::uint64_t number = 0;       ///< bytes per second, or what a disk counts; see Kind
    std::uint64_t queue_bytes = 0;  ///< of a bandwidth
    std::int32_t drift_ppm = 0;     ///< of a clock

    /// Returns whether the fault lasts, so that it can be taken back.
    [[nodiscard]] bool lasts() const noexcept {
        return kind != Kind::drop_connections && kind != Kind::half_open && kind != Kind::restart &&
               kind != Kind::resume && kind != Kind::fail_disk && kind != Kind::fail_read &&
               kind != Kind::flip_bit && kind != Kind::misdirect_write &&
               kind != Kind::set_wall_clock && kind != Kind::fail_disk_after &&
               kind != Kind::interrupt && kind != Kind::drift_clock;
    }
    /// Returns whether the fault hits the link between two hosts.
    [[nodiscard]] bool hits_link() const noexcept {
        return changes_link() || kind == Kind::partition || kind == Kind::partition_one_way ||
               kind == Kind::drop_connections || kind == Kind::half_open;
    }
    /// Returns whether the fault changes how the link between two hosts carries messages.
    [[nodiscard]] bool changes_link() const noexcept {
        return has_latency() || kind == Kind::bandwidth;
    }
    /// Returns whether the fault changes how long messages travel.
    [[nodiscard]] bool has_latency() const noexcept {
        return kind == Kind::latency || kind == Kind::exponential_latency;
    }
    /// Returns a number made of what the fault hits, and of nothing else. It is equal on every
    /// compiler.
    [[nodiscard]] std::uint64_t key() const noexcept {
        std::uint64_t k = detail::mix(static_cast<std::uint64_t>(kind), detail::hash_of(host));
        k = detail::mix(k, detail::hash_of(peer));
        k = detail::mix(k, static_cast<std::uint64_t>(min.count()));
        k = detail::mix(k, static_cast<std::uint64_t>(max.count()));
        k = detail::mix(k, number);
        if (queue_bytes != 0) k = detail::mix(k, queue_bytes);
        return drift_ppm == 0 ? k : detail::mix(k, static_cast<std::uint64_t>(drift_ppm));
    }
    friend bool operator==(const Fault&, const Fault&) = default;
};

/// Makes a fault that stops all traffic between two hosts, without a notification. It lasts.
[[nodiscard]] inline Fault partition(std::string_view a, std::string_view b) {
    return {.kind = Fault::Kind::partition, .host = std::string{a}, .peer = std::string{b}};
}
/// Makes a fault that stops the traffic from one host to another, without a notification. The other
/// direction works (Network::partition_one_way). It lasts.
[[nodiscard]] inline Fault partition_one_way(std::string_view from, std::string_view to) {
    return {Fault::Kind::partition_one_way, std::string{from}, std::string{to}};
}
/// Makes a fault that changes how long a message travels from one host to another, instead of
/// Network::latency. It lasts. Order is kept.   Pre: 0ns <= min <= max.
[[nodiscard]] inline Fault latency(std::string_view from, std::string_view to, Duration min,
                                   Duration max) {
    BELAY_OPTION(Duration::zero() <= min && min <= max,
                 "sim::latency: 0ns <= min <= max must hold");
    return {Fault::Kind::latency, std::string{from}, std::string{to}, min, max};
}
/// Makes a fault that changes how long a message travels from one host to another, with the
/// exponential distribution (Network::exponential_latency). It lasts.
/// Pre: 0ns <= min <= mean <= 24h.
[[nodiscard]] inline Fault exponential_latency(std::string_view from, std::string_view to,
                                               Duration min, Duration mean) {
    BELAY_OPTION(detail::is_exponential_latency(min, mean),
                 "sim::exponential_latency: 0ns <= min <= mean <= 24h must hold");
    return {Fault::Kind::exponential_latency, std::string{from}, std::string{to}, min, mean};
}
/// Makes a fault that limits how many bytes per second travel from one host to another, and how
/// many wait (Network::bandwidth). It lasts.   Pre: 0 < bytes_per_second <= 10'000'000'000.
[[nodiscard]] inline Fault bandwidth(std::string_view from, std::string_view to,
                                     std::uint64_t bytes_per_second,
                                     std::uint64_t queue_bytes = 0) {
    BELAY_OPTION(detail::is_bandwidth(bytes_per_second),
                 "sim::bandwidth: 0 < bytes_per_second <= 10'000'000'000 must hold");
    return {.kind = Fault::Kind::bandwidth,
            .host = std::string{from},
            .peer = std::string{to},
            .number = bytes_per_second,
            .queue_bytes = queue_bytes};
}
/// Makes a fault that stops all traffic between a host and all others, without a notification
/// (Network::black_hole). It lasts.
[[nodiscard]] inline Fault black_hole(std::string_view host) {
    return {.kind = Fault::Kind::black_hole, .host = std::string{host}};
}
/// Makes a fault in which no name service finds a host (Network::unknown_name). It lasts.
[[nodiscard]] inline Fault unknown_name(std::string_view host) {
    return {.kind = Fault::Kind::unknown_name, .host = std::string{host}};
}
/// Makes a fault in which look-ups of a host's name hang (Network::hanging_name). It lasts.
[[nodiscard]] inline Fault hanging_name(std::string_view host) {
    return {.kind = Fault::Kind::hanging_name, .host = std::string{host}};
}
/// Makes a fault in which a host's process reads so many bytes per second
/// (Network::slow_reader). It lasts.   Pre: 0 < bytes_per_second <= 10'000'000'000.
[[nodiscard]] inline Fault slow_reader(std::string_view host, std::uint64_t bytes_per_second) {
    BELAY_OPTION(detail::is_bandwidth(bytes_per_second),
                 "sim::slow_reader: 0 < bytes_per_second <= 10'000'000'000 must hold");
    return {
        .kind = Fault::Kind::slow_reader, .host = std::string{host}, .number = bytes_per_second};
}
/// Makes a fault in which each new connection to a host is accepted and closed at once, as by a
/// load balancer without a healthy server (Network::accept_then_close). It lasts.
[[nodiscard]] inline Fault accept_then_close(std::string_view host) {
    return {.kind = Fault::Kind::accept_then_close, .host = std::string{host}};
}
/// Makes a fault in which a host's kernel refuses new connections. It lasts.
[[nodiscard]] inline Fault refuse(std::string_view host) {
    return {.kind = Fault::Kind::refuse, .host = std::string{host}};
}
/// Makes a fault that breaks all connections between two hosts; both ends see a reset.
[[nodiscard]] inline Fault drop_connections(std::string_view a, std::string_view b) {
    return {.kind = Fault::Kind::drop_connections, .host = std::string{a}, .peer = std::string{b}};
}
/// Makes a fault that breaks all connections between two hosts at `gone`. The process of `unaware`
/// is not notified until it sends something.
[[nodiscard]] inline Fault half_open(std::string_view gone, std::string_view unaware) {
    return {Fault::Kind::half_open, std::string{gone}, std::string{unaware}};
}
/// Makes a fault that switches a host's power off. It lasts: at its end the process is started.
[[nodiscard]] inline Fault kill(std::string_view host) {
    return {.kind = Fault::Kind::kill, .host = std::string{host}};
}
/// Makes a fault that starts a host's process anew, dead or alive. It ends every `kill` before it.
[[nodiscard]] inline Fault restart(std::string_view host) {
    return {.kind = Fault::Kind::restart, .host = std::string{host}};
}
/// Makes a fault that freezes a host's process. It lasts.
[[nodiscard]] inline Fault pause(std::string_view host) {
    return {.kind = Fault::Kind::pause, .host = std::string{host}};
}
/// Makes a fault that lets a frozen process continue. It ends every `pause` before it.
[[nodiscard]] inline Fault resume(std::string_view host) {
    return {.kind = Fault::Kind::resume, .host = std::string{host}};
}
/// Makes a fault that sets a host's wall clock (Host::set_wall_clock). It is ahead by `wrong_by`
/// from then on, or behind. It gains `drift_ppm` microseconds in each second. `0s` sets it right.
/// Pre: `wrong_by` is from -30 to 30 years; -1'000'000 < drift_ppm <= 1'000'000.
[[nodiscard]] inline Fault set_wall_clock(std::string_view host, Duration wrong_by,
                                          std::int32_t drift_ppm = 0) {
    BELAY_OPTION(detail::is_wall_setting(wrong_by, drift_ppm),
                 "sim::set_wall_clock: wrong_by must be from -30 to 30 years, and "
                 "-1'000'000 < drift_ppm <= 1'000'000");
    return {.kind = Fault::Kind::set_wall_clock,
            .host = std::string{host},
            .min = wrong_by,
            .drift_ppm = drift_ppm};
}
/// Makes a fault in which every operation that changes or syncs a host's disk fails with an I/O
/// error (Disk::refuse). It lasts.
[[nodiscard]] inline Fault refuse_disk(std::string_view host) {
    return {.kind = Fault::Kind::refuse_disk, .host = std::string{host}};
}
/// Makes a fault in which a host's disk has no space for more than is on it: at once, or from its
/// `number`-th operation from then on (Disk::fill_at). It lasts.
[[nodiscard]] inline Fault fill_disk(std::string_view host, std::uint64_t number = 0) {
    return {.kind = Fault::Kind::fill_disk, .host = std::string{host}, .number = number};
}
/// Makes a fault in which each sync of a host's disk succeeds without an effect
/// (Disk::ignore_syncs). It lasts.
[[nodiscard]] inline Fault ignore_syncs(std::string_view host) {
    return {.kind = Fault::Kind::ignore_syncs, .host = std::string{host}};
}
/// Makes a fault that flips one bit on a host's disk (Disk::flip_bit).
[[nodiscard]] inline Fault flip_bit(std::string_view host, std::uint64_t number) {
    return {.kind = Fault::Kind::flip_bit, .host = std::string{host}, .number = number};
}
/// Makes a fault in which one operation of a host's disk, if it is a write, goes to another place:
/// the `number`-th from then on (Disk::misdirect_at).   Pre: number > 0.
[[nodiscard]] inline Fault misdirect_write(std::string_view host, std::uint64_t number) {
    BELAY_OPTION(number > 0, "sim::misdirect_write: number must be > 0, 1 is the next operation");
    return {.kind = Fault::Kind::misdirect_write, .host = std::string{host}, .number = number};
}
/// Makes a fault in which one operation of a host's disk fails with an I/O error: the `number`-th
/// from then on (Disk::fail_at).   Pre: number > 0.
[[nodiscard]] inline Fault fail_disk(std::string_view host, std::uint64_t number) {
    BELAY_OPTION(number > 0, "sim::fail_disk: number must be > 0, 1 is the next operation");
    return {.kind = Fault::Kind::fail_disk, .host = std::string{host}, .number = number};
}
/// Makes a fault in which one operation of a host's disk takes effect, and ends with an I/O error
/// all the same: the `number`-th from then on (Disk::fail_after).   Pre: number > 0.
[[nodiscard]] inline Fault fail_disk_after(std::string_view host, std::uint64_t number) {
    BELAY_OPTION(number > 0, "sim::fail_disk_after: number must be > 0, 1 is the next operation");
    return {.kind = Fault::Kind::fail_disk_after, .host = std::string{host}, .number = number};
}
/// Makes a fault in which a signal interrupts a simulated program (Host::interrupt).
[[nodiscard]] inline Fault interrupt(std::string_view host) {
    return {.kind = Fault::Kind::interrupt, .host = std::string{host}};
}
/// Makes a fault in which reads of files return less than they could (Host::shorten_reads). It
/// lasts.
[[nodiscard]] inline Fault shorten_reads(std::string_view host) {
    return {.kind = Fault::Kind::shorten_reads, .host = std::string{host}};
}
/// Makes a fault in which a host's steady clock runs too fast, or too slow if `ppm` is negative
/// (Host::drift_clock).   Pre: -100'000 <= ppm <= 100'000.
[[nodiscard]] inline Fault drift_clock(std::string_view host, std::int32_t ppm) {
    BELAY_OPTION(detail::is_steady_drift(ppm),
                 "sim::drift_clock: -100'000 <= ppm <= 100'000 must hold");
    return {.kind = Fault::Kind::drift_clock, .host = std::string{host}, .drift_ppm = ppm};
}
/// Makes a fault in which a host's process can open no file, and neither dial nor accept
/// (Host::exhaust_descriptors). It lasts.
[[nodiscard]] inline Fault exhaust_descriptors(std::string_view host) {
    return {.kind = Fault::Kind::exhaust_descriptors, .host = std::string{host}};
}
/// Makes a fault in which one read of a host's disk fails with an I/O error: the `number`-th from
/// then on (Disk::fail_read_at).   Pre: number > 0.
[[nodiscard]] inline Fault fail_read(std::string_view host, std::uint64_t number) {
    BELAY_OPTION(number > 0, "sim::fail_read: number must be > 0, 1 is the next read");
    return {.kind = Fault::Kind::fail_read, .host = std::string{host}, .number = number};
}

}}}  // namespace belay::sim
