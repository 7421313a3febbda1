// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/ledger_server.hpp
/// LedgerServer: a process that receives operations of sessions and applies them to a SimLedger.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <belay/session/receiver.hpp>
#include <belay/sim/accepted.hpp>

#include "support/session/sim_ledger.hpp"
#include "support/worlds/explored.hpp"

namespace belay_test {

/// Receives at port 1. If its ledger fails, it ends, and is started again.
class LedgerServer {
    struct Watch {
        LedgerServer* server;
        void on_ledger_failed(std::error_code) {
            server->world_.reach("ledger failed");
            exit_and_restart(server->world_, server->host_);
        }
    };

public:
    LedgerServer(belay::sim::Host& host, belay::sim::World& world,
                 belay::HeartbeatOptions heartbeat)
        : host_{host}, world_{world} {
        SimLedger ledger{host.disk(), world.bits()};
        if (ledger.failed()) {
            exit_and_restart(world, host);
            return;
        }
        belay::ReceiverOptions options;
        options.commit_within = std::chrono::milliseconds{20};
        options.heartbeat = heartbeat;
        receiver_.emplace(std::move(ledger), options, Watch{this});
        host.attach(*receiver_);
        host.listen(1, [this](belay::sim::Accepted c) { receiver_->accept(std::move(c)); });
    }

private:
    belay::sim::Host& host_;
    belay::sim::World& world_;
    std::optional<belay::Receiver<belay::sim::Accepted, SimLedger, belay::AllowAll, Watch>>
        receiver_{};
};

/// Writes the effects that are on a server's disk into a history, under this key.
inline void read_effects(belay::sim::Host& server, std::string_view key,
                         belay::sim::History& history) {
    const SimLedger ledger{server.disk()};
    for (const Effect& e : ledger.effects()) history.effect(key, std::stoull(e.text));
}

}  // namespace belay_test
