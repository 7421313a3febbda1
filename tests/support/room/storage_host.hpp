// SPDX-License-Identifier: MIT
/// \file tests/support/room/storage_host.hpp
/// A storage of rooms as a host of the world, so that the faults of a scenario hit it.
#pragma once

#include <cstdint>
#include <string_view>

#include <belay/sim/world.hpp>

namespace belay_test {

/// The host of a storage. While it is killed, calls fail, and while it is frozen, they are late. It
/// also carries out calls of servers that cannot receive its answers.
class StorageHost {
public:
    enum class Reach : std::uint8_t { works, late, away, unanswered };
    /// The result of storing one change. It is stored, or nothing is stored because the disk
    /// rejects it, or it is stored and the connection ends without an answer.
    enum class Change : std::uint8_t { stored, refused, unanswered };

    StorageHost(belay::sim::World& world, std::string_view name)
        : world_{&world}, host_{&world.host(name)} {}

    /// Returns how a call of this server ends now.
    [[nodiscard]] Reach reach(const belay::sim::Host& server) const {
        const belay::sim::Network& network = world_->network();
        if (!host_->alive() || network.partitioned(server, *host_)) return Reach::away;
        if (host_->paused()) return Reach::late;
        return network.partitioned(*host_, server) ? Reach::unanswered : Reach::works;
    }
    /// Stores one change, as one operation of the host's disk.
    [[nodiscard]] Change store_change() {
        const std::uint64_t before = host_->disk().operations();
        if (!host_->disk().sync_directory("/")) return Change::stored;
        return host_->disk().operations() == before ? Change::refused : Change::unanswered;
    }

private:
    belay::sim::World* world_;
    belay::sim::Host* host_;
};

}  // namespace belay_test
