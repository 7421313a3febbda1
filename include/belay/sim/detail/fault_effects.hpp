// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/fault_effects.hpp
/// apply_by_call and take_back_by_call: the faults whose effect is one call of a world, its network
/// or a disk.
#pragma once

#include <system_error>  // std::make_error_code

#include <belay/core/assert.hpp>
#include <belay/sim/fault.hpp>
#include <belay/sim/network.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// Counts what all hosts have sent and stored.
template <class Hosts>
[[nodiscard]] std::uint64_t work_of(const Fabric& fabric, const Hosts& hosts) noexcept {
    std::uint64_t work = fabric.sends;
    for (const auto& host : hosts) work += host->disk().operations();
    return work;
}

/// Applies a fault whose effect is one call. A latency, a bandwidth and a slow reader are not such
/// faults: what counts then depends on all that hold, so the world applies them together.
/// Pre: `peer` is not null if the fault hits a link; the fault is none of these.
template <class World>
void apply_by_call(World& world, Host& host, Host* peer, const Fault& f) {
    Disk& disk = host.disk();
    const std::uint64_t operation = disk.operations() + f.number;
    const std::error_code io_error = std::make_error_code(std::errc::io_error);
    switch (f.kind) {
        case Fault::Kind::partition:
            return world.network().partition(host, *peer);
        case Fault::Kind::partition_one_way:
            return world.network().partition_one_way(host, *peer);
        case Fault::Kind::refuse:
            return world.network().refuse(host);
        case Fault::Kind::accept_then_close:
            return world.network().accept_then_close(host);
        case Fault::Kind::black_hole:
            return world.network().black_hole(host);
        case Fault::Kind::unknown_name:
            return world.network().unknown_name(host);
        case Fault::Kind::hanging_name:
            return world.network().hanging_name(host);
        case Fault::Kind::drop_connections:
            return world.network().drop_connections(host, *peer);
        case Fault::Kind::half_open:
            return world.network().half_open(host, *peer);
        case Fault::Kind::kill:
            return world.kill(host);
        case Fault::Kind::restart:
            return world.restart(host);
        case Fault::Kind::pause:
            return world.pause(host);
        case Fault::Kind::resume:
            return world.resume(host);
        case Fault::Kind::refuse_disk:
            return disk.refuse(true);
        case Fault::Kind::fill_disk:
            if (f.number != 0) return disk.fill_at(operation);
            return disk.limit_bytes(disk.used_bytes());
        case Fault::Kind::ignore_syncs:
            return disk.ignore_syncs(true);
        case Fault::Kind::flip_bit:
            return disk.flip_bit(f.number);
        case Fault::Kind::misdirect_write:
            return disk.misdirect_at(operation);
        case Fault::Kind::fail_disk:
            return disk.fail_at(operation, io_error);
        case Fault::Kind::fail_disk_after:
            return disk.fail_after(operation, io_error);
        case Fault::Kind::exhaust_descriptors:
            return host.exhaust_descriptors();
        case Fault::Kind::interrupt:
            return host.interrupt();
        case Fault::Kind::shorten_reads:
            return host.shorten_reads();
        case Fault::Kind::fail_read:
            return disk.fail_read_at(disk.reads() + f.number, io_error);
        case Fault::Kind::set_wall_clock:
            return host.set_wall_clock(f.min, f.drift_ppm);
        case Fault::Kind::drift_clock:
            return host.drift_clock(f.drift_ppm);
        case Fault::Kind::latency:
        case Fault::Kind::exponential_latency:
        case Fault::Kind::bandwidth:
        case Fault::Kind::slow_reader:
            break;
    }
    BELAY_INVARIANT(false, "apply_by_call: the effect of the fault must be one call");
}

/// Ends the effect of such a fault, if it lasts.
template <class World>
void take_back_by_call(World& world, Host& host, Host* peer, const Fault& f) {
    switch (f.kind) {
        case Fault::Kind::partition:
            return world.network().heal(host, *peer);
        case Fault::Kind::partition_one_way:
            return world.network().heal_one_way(host, *peer);
        case Fault::Kind::refuse:
            return world.network().accept(host);
        case Fault::Kind::accept_then_close:
            return world.network().accept_then_close(host, false);
        case Fault::Kind::black_hole:
            return world.network().black_hole(host, false);
        case Fault::Kind::unknown_name:
            return world.network().unknown_name(host, false);
        case Fault::Kind::hanging_name:
            return world.network().hanging_name(host, false);
        case Fault::Kind::kill:
            if (!host.alive() && !host.exit_code()) world.restart(host);
            return;
        case Fault::Kind::pause:
            return world.resume(host);
        case Fault::Kind::refuse_disk:
            return host.disk().refuse(false);
        case Fault::Kind::fill_disk:
            host.disk().fill_at(0);
            return host.disk().limit_bytes(Disk::no_limit);
        case Fault::Kind::ignore_syncs:
            return host.disk().ignore_syncs(false);
        case Fault::Kind::exhaust_descriptors:
            return host.exhaust_descriptors(false);
        case Fault::Kind::shorten_reads:
            return host.shorten_reads(false);
        default:
            return;
    }
}

}}}  // namespace belay::sim::detail
