// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/fault_effects.hpp
/// apply_by_call: the faults whose effect is one call of a world, its network or a disk.
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

/// Applies a fault whose effect is one call, or ends it if it lasts. A latency, a bandwidth and a
/// slow reader are not such faults: what counts then depends on all that hold, so the world applies
/// them together.
/// Pre: `peer` is not null if the fault hits a link; the fault is none of these.
template <class World>
void apply_by_call(World& world, Host& host, Host* peer, const Fault& f, bool on = true) {
    Network& network = world.network();
    Disk& disk = host.disk();
    const std::uint64_t operation = disk.operations() + f.number;
    const std::error_code io_error = std::make_error_code(std::errc::io_error);
    switch (f.kind) {
        case Fault::Kind::partition:
            return on ? network.partition(host, *peer) : network.heal(host, *peer);
        case Fault::Kind::partition_one_way:
            return on ? network.partition_one_way(host, *peer) : network.heal_one_way(host, *peer);
        case Fault::Kind::refuse:
            return on ? network.refuse(host) : network.accept(host);
        case Fault::Kind::accept_then_close:
            return network.accept_then_close(host, on);
        case Fault::Kind::black_hole:
            return network.black_hole(host, on);
        case Fault::Kind::unknown_name:
            return network.unknown_name(host, on);
        case Fault::Kind::hanging_name:
            return network.hanging_name(host, on);
        case Fault::Kind::drop_connections:
            return network.drop_connections(host, *peer);
        case Fault::Kind::half_open:
            return network.half_open(host, *peer);
        case Fault::Kind::kill:
            if (on) return world.kill(host);
            return host.alive() || host.exit_code() ? void() : world.restart(host);
        case Fault::Kind::restart:
            return world.restart(host);
        case Fault::Kind::pause:
            return on ? world.pause(host) : world.resume(host);
        case Fault::Kind::resume:
            return world.resume(host);
        case Fault::Kind::refuse_disk:
            return disk.refuse(on);
        case Fault::Kind::fill_disk:
            if (on && f.number != 0) return disk.fill_at(operation);
            if (!on) disk.fill_at(0);
            return disk.limit_bytes(on ? disk.used_bytes() : Disk::no_limit);
        case Fault::Kind::ignore_syncs:
            return disk.ignore_syncs(on);
        case Fault::Kind::flip_bit:
            return disk.flip_bit(f.number);
        case Fault::Kind::misdirect_write:
            return disk.misdirect_at(operation);
        case Fault::Kind::fail_disk:
            return disk.fail_at(operation, io_error);
        case Fault::Kind::fail_disk_after:
            return disk.fail_after(operation, io_error);
        case Fault::Kind::exhaust_descriptors:
            return host.exhaust_descriptors(on);
        case Fault::Kind::interrupt:
            return host.interrupt();
        case Fault::Kind::shorten_reads:
            return host.shorten_reads(on);
        case Fault::Kind::fail_read:
            return disk.fail_read_at(disk.reads() + f.number, io_error);
        case Fault::Kind::set_wall_clock:
            return host.set_wall_clock(f.min, f.drift_ppm);
        case Fault::Kind::drift_clock:
            return host.drift_clock(f.drift_ppm);
        default:
            BELAY_INVARIANT(false, "apply_by_call: the effect of the fault must be one call");
    }
}

}}}  // namespace belay::sim::detail
